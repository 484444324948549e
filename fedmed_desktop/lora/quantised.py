# SPDX-License-Identifier: Apache-2.0
"""Packed blobs: an update as its difference from the round's start, in bfloat16 or in blocks of 8-bit or 4-bit codes.

A packed blob is a safetensors file with one metadata entry `fedmed_difference`, canonical JSON
{"block": 64, "dtype": "int4", "factors": ["A", "B"], "format": 1, "modules": {<name>: [d, k, rank, scale]},
"whole": [<name>, ..]}. Per module, sorted by name, and per factor that is shared: `<name>.lora_A` (codes: I8, or U8
with two to a byte; see `blocks`) and `<name>.lora_A.scale` (BF16, one per block); in bfloat16 just `<name>.lora_A`
(BF16). Like a whole blob it has one canonical header, is hashed and approved as it is, and is read together with the
adapter that both ends have: the values are start + difference, in float32, to the same bits everywhere.

A module of larger rank than the start's is a difference from the start with zeros in the directions that it lacks. One
whose start another computer could not rebuild to the bit, because the site trains at a smaller rank and in a basis of
its own, is `whole`: its values themselves, in bfloat16. One factor of either cannot travel alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..arrays import np
from ..errors import UserFacingError
from .adapter import Adapter
from .algebra import Cut
from .blob import read_bytes, scale_of
from .blocks import Coded, Packed, decoded, encoded, lengths
from .module import Factor, Module, ModuleSource, check_module_name, naming, shown
from .part_reader import Latest, PartReader
from .tensorfile import LENGTH_BYTES, TensorHeader, header_bytes, read_tensor_header, strict_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION: Final = 1
METADATA_KEY: Final = "fedmed_difference"
_CODE_TYPES: Final[Mapping[Packed, str]] = {"bfloat16": "BF16", "int8": "I8", "int4": "U8"}
_NUMPY: Final[Mapping[Packed, str]] = {"bfloat16": "<u2", "int8": "i1", "int4": "u1"}


@dataclass(frozen=True)
class Packing:
    """Way in which an update is packed. `cut`: how a site of smaller rank begins from the start; see lora.algebra."""

    dtype: Packed
    block: int
    cut: Cut = "best"


@dataclass(frozen=True)
class _Form:
    """One module, as the metadata describe it."""

    d: int
    k: int
    rank: int
    scale: float
    whole: bool

    def shape(self, factor: Factor) -> tuple[int, int]:
        return (self.rank, self.k) if factor == "A" else (self.d, self.rank)


def packed(target: Adapter, start: ModuleSource, packing: Packing, factors: Sequence[Factor]) -> tuple[bytes, Adapter]:
    """The exact wire bytes of these factors of `target`, and the adapter that they stand for.

    What is not shared stays the target's in the latter. Values must be of finite and ordinary size.
    """
    forms: dict[str, _Form] = {}
    pieces: list[bytes] = []
    modules: dict[str, Module] = {}
    for name, module in target.items():
        begun = reference(start.module(name), module.rank, packing.cut)
        forms[name] = form = _Form(*module.shape, module.rank, module.scale, begun is None)
        dtype, found = _dtype(form, packing), {"A": module.A, "B": module.B}
        for factor in factors:
            base = None if begun is None else _factor(begun, factor)
            change = found[factor] if base is None else found[factor] - base
            coded = encoded(change, dtype, packing.block)
            pieces += [part.tobytes() for part in (coded.values, coded.scales) if part is not None]
            found[factor] = _rebuilt(coded, form.shape(factor), dtype, packing.block, base)
        with naming(name):
            modules[name] = Module(found["B"], found["A"], module.scale)
    header = _header(forms, packing, factors)
    return b"".join([len(header).to_bytes(LENGTH_BYTES, "little"), header, *pieces]), Adapter(modules)


def reference(start: Module, rank: int, cut: Cut) -> Module | None:
    """The start at this rank; None where it cannot be rebuilt elsewhere to the bit, since the site that trains at the
    rank has a basis of its own.
    """
    if start.rank <= rank:
        return extended(start, rank)
    return Module(start.B[:, :rank], start.A[:rank], start.scale) if cut == "first" else None


def extended(module: Module, rank: int) -> Module:
    """The module with zeros for directions that it lacks up to this rank; the same delta W."""
    if (more := rank - module.rank) <= 0:
        return module
    return Module(np.pad(module.B, ((0, 0), (0, more))), np.pad(module.A, ((0, more), (0, 0))), module.scale)


class PackedReader(PartReader):
    """A packed blob read module by module, each added to the start's.

    The header is checked once, at construction, before any value is read. Raises UserFacingError if missing, or
    anything but a packed blob of these factors in this packing.
    """

    def __init__(
        self, path: Path, packing: Packing, factors: Sequence[Factor], start: ModuleSource, sha256: str | None = None
    ) -> None:
        super().__init__(path, sha256)
        self._packing, self._factors, self._start = packing, tuple(factors), start
        self._last = Latest()
        self._begun: Module | None = None  # held, so that the next reader of the same start finds it read
        with self.reading() as file:
            self._header, self._forms = _read_header(file, packing, self._factors)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._forms)

    def module(self, name: str) -> Module:
        """One module. Raises UserFacingError if unknown, cut off, not finite, or unlike the start's."""
        if (last := self._last.get(name)) is not None:
            return last
        if name not in self._forms:
            raise UserFacingError("lora.module_unknown", name=shown(name))
        form = self._forms[name]
        self._begun = begun = self._start.module(name)
        base = reference(begun, form.rank, self._packing.cut)
        if begun.shape != (form.d, form.k):
            raise UserFacingError("lora.shapes_differ", name=name, left=str((form.d, form.k)), right=str(begun.shape))
        if form.whole != (base is None):
            raise UserFacingError("lora.packed", reason=f"{name} must be whole if and only if its rank is not usual")
        begun = base or begun
        with naming(name):
            found = {"A": begun.A, "B": begun.B} | dict(self._values(name, form, base))
            return self._last.set(name, Module(found["B"], found["A"], form.scale))

    def _values(self, name: str, form: _Form, base: Module | None) -> Iterator[tuple[Factor, NDArray[np.float32]]]:
        dtype, block = _dtype(form, self._packing), self._packing.block
        for factor in self._factors:
            values = self._read(f"{name}.lora_{factor}", _NUMPY[dtype])
            scales = None if dtype == "bfloat16" else self._read(f"{name}.lora_{factor}.scale", "<u2")
            begun = None if base is None else _factor(base, factor)
            yield factor, _rebuilt(Coded(values, scales), form.shape(factor), dtype, block, begun)

    def _read(self, tensor: str, dtype: str) -> NDArray[Any]:
        entry = self._header.tensors[tensor]
        with self.reading() as file:
            return np.frombuffer(read_bytes(file, self._header, entry.begin, entry.end), dtype=dtype)


def _factor(module: Module, factor: Factor) -> NDArray[np.float32]:
    return module.A if factor == "A" else module.B


def _dtype(form: _Form, packing: Packing) -> Packed:
    return "bfloat16" if form.whole else packing.dtype


def _rebuilt(
    coded: Coded, shape: tuple[int, int], dtype: Packed, block: int, base: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """The values that both ends compute; what leaves float32 becomes infinite, for Module to refuse."""
    values = decoded(coded, shape, dtype, block)
    if base is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            values = base + values
    values.flags.writeable = False
    return values


def _header(forms: Mapping[str, _Form], packing: Packing, factors: Sequence[Factor]) -> bytes:
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, str] = {}
    for name, form in sorted(forms.items()):
        dtype = _dtype(form, packing)
        for factor in factors:
            tensor, (rows, columns) = f"{name}.lora_{factor}", form.shape(factor)
            codes, scales = lengths(rows * columns, dtype, packing.block)
            shapes[tensor] = (rows, columns) if codes == rows * columns else (codes,)
            types[tensor] = _CODE_TYPES[dtype]
            if scales:
                shapes[f"{tensor}.scale"], types[f"{tensor}.scale"] = (scales,), "BF16"
    said = {
        "block": packing.block,
        "dtype": packing.dtype,
        "factors": list(factors),
        "format": FORMAT_VERSION,
        "modules": {name: [form.d, form.k, form.rank, form.scale] for name, form in sorted(forms.items())},
        "whole": [name for name, form in sorted(forms.items()) if form.whole],
    }
    return header_bytes(METADATA_KEY, said, shapes, types)


def _read_header(
    file: BinaryIO, packing: Packing, factors: tuple[Factor, ...]
) -> tuple[TensorHeader, dict[str, _Form]]:
    header = read_tensor_header(file, codes=True)
    if header.metadata.keys() != {METADATA_KEY}:
        raise UserFacingError("lora.metadata", reason=f"{METADATA_KEY} must be their only entry")
    said = strict_json(header.metadata[METADATA_KEY])
    modules, whole = said.get("modules"), said.get("whole")
    asked = {"block": packing.block, "dtype": packing.dtype, "factors": list(factors), "format": FORMAT_VERSION}
    if said != asked | {"modules": modules, "whole": whole}:
        what = f"{packing.dtype} in blocks of {packing.block}, factors {' and '.join(factors)}, format 1"
        raise UserFacingError("lora.metadata", reason=f"they must say {what}, modules and whole")
    if not isinstance(modules, dict) or not modules:
        raise UserFacingError("lora.adapter_empty")
    if not isinstance(whole, list) or not all(isinstance(name, str) and name in modules for name in whole):
        raise UserFacingError("lora.metadata", reason="whole must be a list of modules")
    forms = {check_module_name(name): _form(name, modules[name], name in whole) for name in sorted(modules)}
    if any(type(said[key]) is not int for key in ("block", "format")) or header.raw != _header(forms, packing, factors):
        raise UserFacingError("lora.not_canonical")
    return header, forms


def _form(name: str, said: Any, whole: bool) -> _Form:
    """A module's form from metadata, checked; sizes are whole numbers above 0 that a file could hold."""
    sizes = said[:3] if isinstance(said, list) and len(said) == 4 else []
    if not sizes or not all(type(size) is int and 0 < size < 2**31 for size in sizes):
        raise UserFacingError("lora.metadata", reason=f"{shown(name)} needs outputs, inputs, rank and scale")
    d, k, rank = sizes
    return _Form(d, k, rank, scale_of(name, said[3]), whole)
