# SPDX-License-Identifier: Apache-2.0
"""Modules: one adapted linear layer's pair of thin factors and their scale."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from ..arrays import np
from ..errors import UserFacingError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_NAME_LENGTH: Final = 512
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_LARGEST: Final = (2 - 2**-23) * 2.0**127  # of float32
_PEFT_PREFIX: Final = "base_model.model."


Factor = Literal["A", "B"]

Ranks = int | Mapping[str, int]
"""Ranks of an adapter: one for all of its modules, or each module's own by its name."""


@dataclass(frozen=True, eq=False)
class Module:
    """delta W = scale * B @ A, with B of shape (d, r), A of shape (r, k): d outputs, k inputs, rank r >= 1.

    Factors become read-only, C-contiguous float32, and are copied if anyone else could still write to them.
    Raises UserFacingError if shapes disagree, a value is not finite, or the scale is not above 0.
    """

    B: NDArray[np.float32]
    A: NDArray[np.float32]
    scale: float

    def __post_init__(self) -> None:
        scale = float(self.scale)
        if not (math.isfinite(scale) and scale > 0):
            raise UserFacingError("lora.scale", scale=str(scale), name="the module")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "B", _factor("lora_B", self.B))
        object.__setattr__(self, "A", _factor("lora_A", self.A))
        if self.A.shape[0] != self.B.shape[1]:
            raise UserFacingError(
                "lora.factor_shape", tensor="lora_A", shape=str(self.A.shape), expected=f"({self.B.shape[1]}, inputs)"
            )

    @property
    def rank(self) -> int:
        return int(self.A.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(d, k): outputs and inputs of the adapted layer."""
        return int(self.B.shape[0]), int(self.A.shape[1])


class ModuleSource(Protocol):
    """An adapter whose modules are read one at a time (BlobReader, HalfReader, or Adapter itself)."""

    @property
    def names(self) -> Iterable[str]: ...

    def module(self, name: str) -> Module: ...


def kaiming_rows(rng: np.random.Generator, rank: int, k: int) -> NDArray[np.float32]:
    """Fresh rows of A, (rank, k), from U(-1/sqrt(k), 1/sqrt(k)): PEFT's kaiming_uniform(a=sqrt(5)) on fan-in k."""
    bound = 1 / math.sqrt(k)
    return rng.uniform(-bound, bound, (rank, k)).astype(np.float32)


def to_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """A C-contiguous copy; values that overflow become infinite without a warning, for Module to refuse."""
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C", copy=True)


def within_float32(array: NDArray[np.float64]) -> NDArray[np.float32]:
    """The values in float32, cut to its range: so that no site's absurd numbers stop what is computed of all."""
    return array.clip(-_LARGEST, _LARGEST).astype(np.float32)


def rank_in(ranks: Ranks, name: str) -> int:
    """The rank of one module."""
    return ranks if isinstance(ranks, int) else ranks[name]


def check_rank(rank: int) -> None:
    """Raises UserFacingError for a rank below 1."""
    if rank < 1:
        raise UserFacingError("lora.rank", rank=rank)


def check_module_name(name: str) -> str:
    """Returns a name that a base model can have: dotted, ASCII, without PEFT's prefix. Else raises UserFacingError."""
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name) or name.startswith(_PEFT_PREFIX):
        raise UserFacingError("lora.module_name", name=shown(name))
    return name


def shown(value: object) -> str:
    """A value of unknown origin, made safe to show in a message: short, without control characters."""
    if isinstance(value, list | dict):
        return "a list or table"
    text = str(value)
    short = text if len(text) <= 120 else text[:117] + "..."
    return short if short.isprintable() else ascii(short)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Adds the module's name to errors raised while building it, since a Module does not know its name."""
    try:
        yield
    except UserFacingError as error:
        params = dict(error.params)
        if "tensor" in params:
            params["tensor"] = f"{name}.{params['tensor']}"
        elif error.code == "lora.scale":
            params["name"] = name
        raise UserFacingError(error.code, retryable=error.retryable, **params) from None


def _factor(tensor: str, values: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise UserFacingError("lora.tensor_dtype", tensor=tensor, dtype=str(array.dtype), expected="float32")
    if array.ndim != 2 or 0 in array.shape:
        raise UserFacingError("lora.factor_shape", tensor=tensor, shape=str(array.shape), expected="a filled matrix")
    if not _is_frozen_float32(array):
        array = to_float32(array)
        array.flags.writeable = False
    if not np.isfinite(array).all():
        raise UserFacingError("lora.tensor_not_finite", tensor=tensor)
    return array


def _is_frozen_float32(array: NDArray[np.generic]) -> bool:
    """Tells whether nobody can write to the array's memory, so that it needs no copy."""
    if array.dtype != np.float32 or not (array.flags.c_contiguous and array.flags.aligned):
        return False
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)
