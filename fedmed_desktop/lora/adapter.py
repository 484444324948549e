# SPDX-License-Identifier: Apache-2.0
"""Adapters as immutable values, identified by the hash of their wire bytes, read from and written to PEFT folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ..arrays import np
from ..errors import UserFacingError
from .blob import blob_chunks, decode_blob
from .module import Module, check_module_name, check_rank, kaiming_rows, shown
from .peft_folder import read_peft_folder, write_peft_folder


class Adapter(Mapping[str, Module]):
    """Immutable mapping from the base model's module names to their Modules, iterated in sorted order.

    Adapters are equal if their blobs are. Any thread. Raises UserFacingError if empty or a name cannot be a module's.
    """

    def __init__(self, modules: Mapping[str, Module]) -> None:
        if not modules:
            raise UserFacingError("lora.adapter_empty")
        self._modules = {check_module_name(name): modules[name] for name in sorted(modules)}

    @property
    def names(self) -> tuple[str, ...]:
        """Module names, sorted; with `module`, this makes an Adapter a ModuleSource."""
        return tuple(self._modules)

    def module(self, name: str) -> Module:
        """One module. Raises UserFacingError where `adapter[name]` raises KeyError."""
        if name not in self._modules:
            raise UserFacingError("lora.module_unknown", name=shown(name))
        return self._modules[name]

    @property
    def ranks(self) -> dict[str, int]:
        return {name: module.rank for name, module in self._modules.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Module name -> (d, k), outputs and inputs of the adapted layer."""
        return {name: module.shape for name, module in self._modules.items()}

    @cached_property
    def sha256(self) -> str:
        """Hex digest of `to_blob()`."""
        digest = hashlib.sha256()
        for piece in self.blob_pieces():
            digest.update(piece)
        return digest.hexdigest()

    def to_blob(self) -> bytes:
        """The exact wire bytes; the same for equal adapters."""
        return b"".join(self.blob_pieces())

    def blob_pieces(self) -> Iterator[bytes | memoryview]:
        """The same bytes in pieces, for writing them without a second copy of every factor."""
        return blob_chunks(self._modules)

    @classmethod
    def from_blob(cls, blob: bytes | memoryview) -> Adapter:
        """Inverse of `to_blob`; refers to `bytes` instead of copying them. Raises UserFacingError if refused."""
        return cls(decode_blob(blob))

    def save_peft(self, folder: Path, base_model: str | None = None) -> None:
        """Write a PEFT folder of uniform rank that needs no patterns; see `peft_folder`. Raises OSError."""
        write_peft_folder(folder, self._modules, base_model)

    @classmethod
    def load_peft(cls, folder: Path) -> Adapter:
        """Read a PEFT folder with plain LoRA or rsLoRA. Raises UserFacingError naming any other feature."""
        return cls(read_peft_folder(folder))

    @classmethod
    def initial(cls, shapes: Mapping[str, tuple[int, int]], rank: int, scale: float, seed: int) -> Adapter:
        """A federation's first adapter: B = 0, A as PEFT initialises it, so delta W = 0.

        `shapes` maps module names to (d, k). PEFT uses kaiming_uniform(a=sqrt(5)) (LoRA's reference code), which is
        U(-1/sqrt(k), 1/sqrt(k)); drawn here from numpy PCG64(seed), by sorted name. Rank is capped at min(d, k).
        """
        check_rank(rank)
        rng = np.random.Generator(np.random.PCG64(seed))
        modules = {}
        for name, (d, k) in sorted(shapes.items()):
            r = min(rank, d, k)
            modules[name] = Module(np.zeros((d, r), np.float32), kaiming_rows(rng, r, k), scale)
        return cls(modules)

    def map(self, change: Callable[[Module], Module]) -> Adapter:
        """A new adapter of the same names, `change` applied in sorted order."""
        return Adapter({name: change(module) for name, module in self._modules.items()})

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Adapter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Adapter({len(self)} modules, ranks {sorted(set(self.ranks.values()))}, {self.sha256[:12]})"

    def __reduce__(self) -> tuple[object, ...]:  # a plain pickle would give writable factors
        return (Adapter.from_blob, (self.to_blob(),))
