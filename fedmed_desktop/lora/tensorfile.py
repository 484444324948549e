# SPDX-License-Identifier: Apache-2.0
"""Headers of safetensors files; every size is checked before it is used.

Layout (safetensors format): 8 bytes little-endian header length N, N bytes of JSON, then the tensors back to back.
The library is not used: faults must be named in words, tensors read one at a time, and numpy has no bfloat16.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..arrays import np
from ..errors import UserFacingError
from .module import shown, to_float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 8 * 2**20
_ITEM_BYTES: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_CODE_BYTES: Final = {"I8": 1, "U8": 1}  # of packed updates; no adapter that people bring has them
_DTYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class TensorEntry:
    """Name, type, shape and position of one tensor; [begin, end) counts bytes from `TensorHeader.data_start`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class TensorHeader:
    """Tensors in the order of their bytes (without gaps or overlaps), metadata, and the header's own bytes."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    raw: bytes

    @property
    def data_start(self) -> int:
        return LENGTH_BYTES + len(self.raw)

    @property
    def data_bytes(self) -> int:
        return max((entry.end for entry in self.tensors.values()), default=0)


def read_tensor_header(source: bytes | memoryview | BinaryIO, *, codes: bool = False) -> TensorHeader:
    """Parses and checks the header of a whole safetensors file, given as bytes or as a seekable binary file.

    `codes`: whether tensors of 8-bit whole numbers are taken too.

    Reads at most MAX_HEADER_BYTES of header, and no tensor. Raises UserFacingError if the file is cut off, the header
    too large, the JSON bad, a key repeated or a type unknown, or if tensors do not fill the file without gaps.
    """
    return parsed_header(*raw_header(source), codes=codes)


def parsed_header(raw: bytes, data_bytes: int, *, codes: bool = False) -> TensorHeader:
    """The header in these bytes, with so many behind them. Raises UserFacingError as above."""
    header = strict_json(raw)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UserFacingError("lora.file_header", reason="its metadata are not a table of texts")
    known = _ITEM_BYTES | _CODE_BYTES if codes else _ITEM_BYTES
    entries = [_entry(name, fields, known) for name, fields in header.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    _check_contiguous(entries, data_bytes)
    return TensorHeader({entry.name: entry for entry in entries}, metadata, raw)


def raw_header(source: bytes | memoryview | BinaryIO) -> tuple[bytes, int]:
    """The header's own bytes, not looked at, and the number of bytes behind it. Raises UserFacingError as above."""
    file = source if not isinstance(source, bytes | memoryview) else io.BytesIO(source)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < LENGTH_BYTES:
        raise UserFacingError("lora.file_cut_off", size=size, expected=LENGTH_BYTES)
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise UserFacingError("lora.file_header_size", size=length, limit=MAX_HEADER_BYTES)
    if size < LENGTH_BYTES + length:
        raise UserFacingError("lora.file_cut_off", size=size, expected=LENGTH_BYTES + length)
    return file.read(length), size - LENGTH_BYTES - length


def header_bytes(
    key: str, said: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str] | None = None
) -> bytes:
    """The one canonical header of tensors that lie back to back in this order; float32 where `types` says no other.

    `said` becomes the only metadata entry, under `key`, as canonical JSON.
    """
    header: dict[str, Any] = {"__metadata__": {key: _json(said)}}
    sizes, at = _ITEM_BYTES | _CODE_BYTES, 0
    for name, shape in shapes.items():
        dtype = (types or {}).get(name, "F32")
        end = at + sizes[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    raw = _json(header).encode("ascii")
    return raw + b" " * (-len(raw) % 8)  # so that the tensors begin at a multiple of 8


def matrix_shape(entry: TensorEntry) -> tuple[int, int]:
    """(rows, columns) of a float32 matrix that is not empty. Raises UserFacingError for any other tensor."""
    if entry.dtype != "F32":
        raise UserFacingError("lora.tensor_dtype", tensor=entry.name, dtype=entry.dtype, expected="F32")
    if len(entry.shape) != 2 or 0 in entry.shape:
        raise UserFacingError(
            "lora.factor_shape", tensor=entry.name, shape=str(entry.shape), expected="a filled matrix"
        )
    return entry.shape[0], entry.shape[1]


def strict_json(text: bytes | str) -> dict[str, Any]:
    """A JSON object without repeated keys, NaN or infinities. Raises UserFacingError saying what is wrong."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except UserFacingError:
        raise
    except (ValueError, RecursionError):
        raise UserFacingError("lora.file_header", reason="it is not JSON") from None
    if not isinstance(value, dict):
        raise UserFacingError("lora.file_header", reason="it is not a JSON object")
    return value


def widen(entry: TensorEntry, data: bytes | memoryview) -> NDArray[np.float32]:
    """A tensor's bytes as float32: 16 bits are widened without loss, 64 rounded; float32 is a view of `data`."""
    values: NDArray[Any] = np.frombuffer(data, dtype=_DTYPES[entry.dtype]).reshape(entry.shape)
    if entry.dtype == "BF16":  # a bfloat16 is the upper half of a float32
        return (values.astype("<u4") << np.uint32(16)).view("<f4")
    return values if entry.dtype == "F32" else to_float32(values)


def _entry(name: str, fields: Any, known: Mapping[str, int]) -> TensorEntry:
    def refuse(reason: str) -> UserFacingError:
        return UserFacingError("lora.tensor_entry", tensor=shown(name), reason=reason)

    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise refuse("it needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in known:
        expected = ", ".join(known)
        raise UserFacingError("lora.tensor_dtype", tensor=shown(name), dtype=shown(dtype), expected=expected)
    if not _is_counts(shape) or len(shape) > 8:
        raise refuse("its shape is not a list of at most 8 whole numbers")
    if not _is_counts(offsets) or len(offsets) != 2:
        raise refuse("its offsets are not two whole numbers of at least 0")
    begin, end = offsets
    if end - begin != math.prod(shape) * known[dtype]:
        raise refuse("its offsets and its shape disagree about its size")
    return TensorEntry(name, dtype, tuple(shape), begin, end)


def _is_counts(value: Any) -> bool:
    # type() and not isinstance: True is an int
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _check_contiguous(entries: list[TensorEntry], data_bytes: int) -> None:
    at = 0
    for entry in entries:
        if entry.begin != at:
            reason = "it overlaps another tensor" if entry.begin < at else "there is a gap before it"
            raise UserFacingError("lora.tensor_entry", tensor=shown(entry.name), reason=reason)
        if entry.end > data_bytes:
            raise UserFacingError("lora.tensor_entry", tensor=shown(entry.name), reason="it lies beyond the file's end")
        at = entry.end
    if at != data_bytes:
        raise UserFacingError("lora.file_size", size=data_bytes, expected=at)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise UserFacingError("lora.file_header", reason=f"the key {shown(key)} stands twice")
            seen.add(key)
    return table


def _no_constant(text: str) -> float:
    raise ValueError(text)
