# SPDX-License-Identifier: Apache-2.0
"""Blobs: the exact wire bytes of adapters, which are hashed, shown, approved, sent, acknowledged and combined.

A blob is a safetensors file that the safetensors library can read: per module, in sorted order, `<name>.lora_A` and
`<name>.lora_B` in float32, and one metadata entry `fedmed_adapter` with canonical JSON
{"dtype": "float32", "format": 1, "scales": {<name>: <scale>}}. The library orders metadata at random, so there is just
one entry, and the header is written here. Only this encoding is accepted: equal adapters have equal hashes, and
a valid blob encodes to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from weakref import WeakValueDictionary

from ..arrays import np
from ..errors import UserFacingError
from .module import Module, check_module_name, naming, shown
from .part_reader import Latest, PartReader
from .tensorfile import (
    LENGTH_BYTES,
    TensorEntry,
    TensorHeader,
    header_bytes,
    matrix_shape,
    parsed_header,
    raw_header,
    strict_json,
    widen,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION: Final = 1
METADATA_KEY: Final = "fedmed_adapter"
_A: Final = ".lora_A"
_B: Final = ".lora_B"


@dataclass(frozen=True)
class BlobHeader:
    """A blob's checked header: modules with their scales, and the positions of their factors."""

    scales: Mapping[str, float]
    file: TensorHeader

    @property
    def names(self) -> tuple[str, ...]:
        """Module names, sorted."""
        return tuple(self.scales)

    def entries(self, name: str) -> tuple[TensorEntry, TensorEntry]:
        """The entries of a module's factors (B, A). Raises UserFacingError if there is no such module."""
        if name not in self.scales:
            raise UserFacingError("lora.module_unknown", name=shown(name))
        return self.file.tensors[name + _B], self.file.tensors[name + _A]


# Headers in use, by their bytes: the updates of a round all have the same one, and each would take as much memory as a
# module.
_IN_USE: Final[WeakValueDictionary[bytes, BlobHeader]] = WeakValueDictionary()


def blob_chunks(modules: Mapping[str, Module]) -> Iterator[bytes | memoryview]:
    """The blob's bytes in pieces, for hashing or writing without a second copy of every factor."""
    header = _header(
        {name: module.scale for name, module in modules.items()},
        {name: (module.shape, module.rank) for name, module in modules.items()},
    )
    yield len(header).to_bytes(LENGTH_BYTES, "little") + header
    for name in sorted(modules):
        for factor in (modules[name].A, modules[name].B):
            yield factor.astype("<f4", copy=False).data.cast("B")


def read_blob_header(source: bytes | memoryview | BinaryIO) -> BlobHeader:
    """Parses and checks a blob's header, given the whole blob as bytes or a seekable binary file; reads no tensor.

    Raises UserFacingError for anything but a blob in canonical form.
    """
    raw, data_bytes = raw_header(source)
    if (known := _IN_USE.get(raw)) is not None and known.file.data_bytes == data_bytes:
        return known
    file = parsed_header(raw, data_bytes)
    scales = _scales(file.metadata)
    layout = {name: _layout(name, file.tensors) for name in scales}
    for tensor in file.tensors:
        stem, dot, kind = tensor.rpartition(".")
        if stem not in scales or dot + kind not in (_A, _B):
            raise UserFacingError("lora.tensor_unknown", tensor=shown(tensor))
    if file.raw != _header(scales, layout):
        raise UserFacingError("lora.not_canonical")
    return _IN_USE.setdefault(file.raw, BlobHeader(scales, file))


def decode_blob(blob: bytes | memoryview) -> dict[str, Module]:
    """All modules of a blob, sorted by name. Factors from `bytes` are views, not copies."""
    header = read_blob_header(blob)
    data, begin = blob if isinstance(blob, bytes) else bytes(blob), -header.file.data_start
    modules = {}
    for name in header.names:
        b, a = header.entries(name)
        with naming(name):
            modules[name] = Module(_factor(data, b, begin), _factor(data, a, begin), header.scales[name])
    return modules


class BlobReader(PartReader):
    """A blob file read module by module, so that combining many adapters holds one module of each.

    The header is checked once, at construction. `sha256`: see PartReader. Raises UserFacingError if it is not a blob.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        super().__init__(path, sha256)
        self._last = Latest()
        with self.reading() as file:
            self.header = read_blob_header(file)

    @property
    def names(self) -> tuple[str, ...]:
        return self.header.names

    def module(self, name: str) -> Module:
        """One module; reads only its bytes. Raises UserFacingError if unknown, cut off or not finite.

        The last one is handed out again while it is in use: half blobs that are completed from this one hold it.
        """
        if (last := self._last.get(name)) is not None:
            return last
        b, a = self.header.entries(name)
        with self.reading() as file:
            data = read_bytes(file, self.header.file, a.begin, b.end)  # canonical: B follows A
        with naming(name):
            return self._last.set(
                name, Module(_factor(data, b, a.begin), _factor(data, a, a.begin), self.header.scales[name])
            )


def read_factor(file: BinaryIO, header: TensorHeader, entry: TensorEntry) -> NDArray[np.float32]:
    """One tensor's values from an open file. Raises UserFacingError if the file ends too early."""
    return widen(entry, read_bytes(file, header, entry.begin, entry.end))


def read_bytes(file: BinaryIO, header: TensorHeader, begin: int, end: int) -> bytes:
    """Bytes of the tensors from `begin` to `end`. Raises UserFacingError if the file ends too early."""
    size, start = end - begin, header.data_start + begin
    file.seek(start)
    data = file.read(size)
    while 0 < len(data) < size and (more := file.read(size - len(data))):  # a raw read may stop early
        data += more
    if len(data) != size:
        raise UserFacingError("lora.file_cut_off", size=start + len(data), expected=start + size)
    return data


def _factor(data: bytes, entry: TensorEntry, begin: int) -> NDArray[np.float32]:
    """A tensor's values as a view of bytes that begin at this position of the file's tensors."""
    values: NDArray[np.float32] = np.frombuffer(
        data, dtype="<f4", count=(entry.end - entry.begin) // 4, offset=entry.begin - begin
    ).reshape(entry.shape)
    return values


def _scales(metadata: Mapping[str, str]) -> dict[str, float]:
    if metadata.keys() != {METADATA_KEY}:
        raise UserFacingError("lora.metadata", reason=f"{METADATA_KEY} must be their only entry")
    said = strict_json(metadata[METADATA_KEY])
    version = said.get("format")
    if type(version) is not int or version < 1:
        raise UserFacingError("lora.metadata", reason="the format version is missing or not a whole number")
    if version > FORMAT_VERSION:
        raise UserFacingError("lora.format_too_new", version=str(version)[:20], known=FORMAT_VERSION)
    if said.keys() != {"dtype", "format", "scales"} or not isinstance(said["scales"], dict):
        raise UserFacingError("lora.metadata", reason="they need dtype, format and scales, and nothing else")
    if said["dtype"] != "float32":
        raise UserFacingError("lora.tensor_dtype", tensor="*", dtype=shown(said["dtype"]), expected="float32")
    if not said["scales"]:
        raise UserFacingError("lora.adapter_empty")
    return {check_module_name(name): scale_of(name, said["scales"][name]) for name in sorted(said["scales"])}


def scale_of(name: str, value: Any) -> float:
    """A module's scale from metadata, checked. Raises UserFacingError for anything but a number above 0."""
    if type(value) is not float or not 0 < value < float("inf"):
        raise UserFacingError("lora.scale", scale=shown(value), name=name)
    return value


def _layout(name: str, tensors: Mapping[str, TensorEntry]) -> tuple[tuple[int, int], int]:
    """((d, k), rank) of one module."""
    for suffix in (_A, _B):
        if name + suffix not in tensors:
            raise UserFacingError("lora.partner_missing", tensor=name + suffix)
    a, b = matrix_shape(tensors[name + _A]), matrix_shape(tensors[name + _B])
    if a[0] != b[1]:
        raise UserFacingError("lora.factor_shape", tensor=name + _A, shape=str(a), expected=f"({b[1]}, inputs)")
    return (b[0], a[1]), a[0]


def _header(scales: Mapping[str, float], layout: Mapping[str, tuple[tuple[int, int], int]]) -> bytes:
    shapes: dict[str, tuple[int, ...]] = {}
    for name in sorted(layout):
        (d, k), rank = layout[name]
        shapes |= {name + _A: (rank, k), name + _B: (d, rank)}
    said = {"dtype": "float32", "format": FORMAT_VERSION, "scales": dict(sorted(scales.items()))}
    return header_bytes(METADATA_KEY, said, shapes)
