# SPDX-License-Identifier: Apache-2.0
"""Half blobs: one factor of every module, for methods in which the other factor does not travel.

A half blob is a safetensors file with `<name>.lora_A` (or `.lora_B`) in float32, in sorted order, and one metadata
entry `fedmed_factor` with canonical JSON {"dtype": "float32", "factor": "A", "format": 1, "scales": {<name>: <scale>}}.
Like a whole blob it has one canonical form and is approved and sent by its sha256. It is read together with an adapter
that supplies the other factor: the round's start, which both ends have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import UserFacingError
from .adapter import Adapter
from .blob import BlobReader, read_factor, scale_of
from .module import Factor, Module, ModuleSource, check_module_name, naming, shown
from .part_reader import PartReader
from .quantised import PackedReader, Packing
from .tensorfile import LENGTH_BYTES, TensorHeader, header_bytes, matrix_shape, read_tensor_header, strict_json

FORMAT_VERSION: Final = 1
METADATA_KEY: Final = "fedmed_factor"


def half_blob(modules: Mapping[str, Module], factor: Factor) -> bytes:
    """The exact wire bytes of one factor of every module."""
    matrices = {name: module.A if factor == "A" else module.B for name, module in sorted(modules.items())}
    shapes = {name: matrix.shape for name, matrix in matrices.items()}
    header = _header(factor, {name: module.scale for name, module in modules.items()}, shapes)
    parts = [matrix.astype("<f4", copy=False).tobytes() for matrix in matrices.values()]
    return b"".join([len(header).to_bytes(LENGTH_BYTES, "little"), header, *parts])


class HalfReader(PartReader):
    """A half blob read module by module, each completed with the other factor of `rest`.

    The header is checked once, at construction. Raises UserFacingError if missing, or anything but this factor.
    """

    def __init__(self, path: Path, factor: Factor, rest: ModuleSource, sha256: str | None = None) -> None:
        super().__init__(path, sha256)
        self._factor, self._rest = factor, rest
        self._other: Module | None = None  # held, so that the next reader of the same rest finds it read
        with self.reading() as file:
            self._header, self._scales = _read_header(file, factor)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._scales)

    def module(self, name: str) -> Module:
        """One module. Raises UserFacingError if unknown, cut off, not finite or of another rank than the rest's."""
        if name not in self._scales:
            raise UserFacingError("lora.module_unknown", name=shown(name))
        entry = self._header.tensors[f"{name}.lora_{self._factor}"]
        with self.reading() as file:
            values = read_factor(file, self._header, entry)
        self._other = other = self._rest.module(name)
        scale = self._scales[name]
        with naming(name):
            return Module(values, other.A, scale) if self._factor == "B" else Module(other.B, values, scale)


def open_update(
    path: Path,
    factors: tuple[Factor, ...],
    start: ModuleSource,
    sha256: str | None = None,
    packing: Packing | None = None,
) -> BlobReader | HalfReader | PackedReader:
    """Opens the adapter part of an update that shares these factors; the start supplies the other one.

    With `packing` the update is a difference from the start.
    """
    if packing is not None:
        return PackedReader(path, packing, factors, start, sha256)
    return BlobReader(path, sha256) if len(factors) == 2 else HalfReader(path, factors[0], start, sha256)


def encode_update(adapter: Adapter, factors: tuple[Factor, ...]) -> bytes:
    """The adapter part of an update that shares these factors: a whole blob or a half."""
    return adapter.to_blob() if len(factors) == 2 else half_blob(adapter, factors[0])


def _header(factor: Factor, scales: Mapping[str, float], shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    said = {"dtype": "float32", "factor": factor, "format": FORMAT_VERSION, "scales": dict(sorted(scales.items()))}
    return header_bytes(METADATA_KEY, said, {f"{name}.lora_{factor}": shapes[name] for name in sorted(shapes)})


def _read_header(file: BinaryIO, factor: Factor) -> tuple[TensorHeader, dict[str, float]]:
    header = read_tensor_header(file)
    if header.metadata.keys() != {METADATA_KEY}:
        raise UserFacingError("lora.metadata", reason=f"{METADATA_KEY} must be their only entry")
    said = strict_json(header.metadata[METADATA_KEY])
    scales = said.get("scales")
    if said != {"dtype": "float32", "factor": factor, "format": FORMAT_VERSION, "scales": scales}:
        raise UserFacingError("lora.metadata", reason=f"they must say factor {factor} in float32, format 1, and scales")
    if not isinstance(scales, dict) or not scales:
        raise UserFacingError("lora.adapter_empty")
    scales = {check_module_name(name): scale_of(name, scales[name]) for name in sorted(scales)}
    wanted = {f"{name}.lora_{factor}": name for name in scales}
    if foreign := sorted(header.tensors.keys() ^ wanted.keys()):
        code = "lora.tensor_unknown" if foreign[0] in header.tensors else "lora.partner_missing"
        raise UserFacingError(code, tensor=shown(foreign[0]))
    shapes = {name: matrix_shape(header.tensors[tensor]) for tensor, name in wanted.items()}
    if header.raw != _header(factor, scales, shapes):
        raise UserFacingError("lora.not_canonical")
    return header, scales
