# SPDX-License-Identifier: Apache-2.0
"""Updates as whole numbers modulo 2^b, and their sum as an adapter again.

A site's number for one value is round(w clip(x - x_start, -c, c) Q / c), with its weight w as a share of the largest
possible one and Q = floor((2^(b-1) - 1) / K), so that no sum over K sites overflows. The last two numbers are w Q,
whole and in parts of 1024. What the sum of all gives, c (sum of values) / (sum of weights), differs from the exact
average by at most c / (2 Q) times K / (sum of w) for each value. They travel in b = 24, 28 or 32 bits each.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...arrays import np
from ...errors import UserFacingError
from ...lora import Adapter, Module
from ...lora.module import Factor, ModuleSource
from ..plan import Masking
from ..secret_random import SecretRandom
from ..values import Sha256
from .masks import Numbers
from .values import LEAST_SITES, room_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC: Final = b"FMMASK02"  # 01 had one number for the weight, and 32 bits always
_PARTS: Final = 1024
_HEADER_BYTES: Final = len(_MAGIC) + 32


@dataclass(frozen=True)
class Layout:
    """Order of what is summed: factors of modules with their shapes, the values of each row by row, then the weight in
    two numbers.

    `start`: the adapter that all values are differences from.
    """

    start: Sha256
    factors: tuple[tuple[str, Factor, int, int], ...]
    masking: Masking

    @classmethod
    def of(
        cls, start: Sha256, modules: Mapping[str, tuple[int, int]], shared: tuple[Factor, ...], rank: int, how: Masking
    ) -> Layout:
        """Layout of updates which share these factors of modules name -> (d, k)."""
        factors: list[tuple[str, Factor, int, int]] = []
        for name, (d, k) in sorted(modules.items()):
            own = min(rank, d, k)
            factors += [(name, factor, own, k) if factor == "A" else (name, factor, d, own) for factor in shared]
        return cls(start, tuple(factors), how)

    @property
    def values(self) -> int:
        """Number of values of an update that are summed."""
        return sum(rows * columns for _, _, rows, columns in self.factors)

    @property
    def length(self) -> int:
        """Count of all numbers, the weight's two among them."""
        return self.values + 2

    @property
    def blob_bytes(self) -> int:
        """Size of an update's masked part."""
        return _HEADER_BYTES + -(-self.length * self.masking.bits // 8)

    @property
    def sha256(self) -> Sha256:
        body = json.dumps([self.start, self.factors, self.masking.model_dump()], separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()

    def places(self) -> Iterator[tuple[str, Factor, slice, tuple[int, int]]]:
        """Places where each factor's numbers lie, and its shape."""
        at = 0
        for name, factor, rows, columns in self.factors:
            yield name, factor, slice(at, at + rows * columns), (rows, columns)
            at += rows * columns


def blob_of(layout: Layout, numbers: Numbers) -> bytes:
    """The exact wire bytes of masked numbers: a magic word, the layout's hash, the numbers little-endian and packed."""
    return b"".join((_MAGIC, bytes.fromhex(layout.sha256), packed(numbers, layout.masking.bits)))


def check_blob(layout: Layout, head: bytes, size: int) -> None:
    """Raises UserFacingError("update.not_masked") unless a blob that begins so and is so long has this layout.

    That is all that can be known of masked numbers.
    """
    expected = layout.blob_bytes
    if size != expected or head[:_HEADER_BYTES] != _MAGIC + bytes.fromhex(layout.sha256):
        raise UserFacingError("update.not_masked", size=size, expected=expected)


def numbers_of(layout: Layout, blob: bytes) -> Numbers:
    """The numbers of a blob. Raises UserFacingError for one of another layout."""
    check_blob(layout, blob[:_HEADER_BYTES], len(blob))
    return unpacked(memoryview(blob)[_HEADER_BYTES:], layout.length, layout.masking.bits)


def packed(numbers: Numbers, bits: int) -> bytes:
    """The lowest `bits` of each number, 24, 28 or 32, one behind the other from the lowest bit on."""
    if bits == 32:
        return numbers.astype("<u4", copy=False).tobytes()
    if bits == 24:
        return numbers.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    pairs = np.zeros(-(-len(numbers) // 2), dtype="<u8")
    low, high = numbers[0::2] & np.uint32(2**28 - 1), numbers[1::2] & np.uint32(2**28 - 1)
    pairs += low
    pairs[: len(high)] |= high.astype(np.uint64) << np.uint64(28)
    return pairs.view(np.uint8).reshape(-1, 8)[:, :7].tobytes()[: -(-len(numbers) * bits // 8)]


def unpacked(data: bytes | memoryview, length: int, bits: int) -> Numbers:
    """Returns so many numbers from their lowest bits."""
    if bits == 32:
        return np.frombuffer(data, dtype="<u4")
    each, of = (4, 1) if bits == 24 else (8, 2)  # so many bytes hold so many numbers
    groups, kept = -(-length // of), bits * of // 8
    wide = np.zeros((groups, each), np.uint8)
    found = np.zeros(groups * kept, np.uint8)
    found[: len(data)] = np.frombuffer(data, np.uint8)
    wide[:, :kept] = found.reshape(groups, kept)
    if bits == 24:
        return wide.view("<u4").ravel()
    pairs = wide.view("<u8").ravel()
    numbers = np.empty(2 * groups, np.uint32)
    numbers[0::2], numbers[1::2] = pairs & np.uint64(2**28 - 1), pairs >> np.uint64(28)
    return numbers[:length]


@dataclass(frozen=True)
class Encoded:
    """A site's numbers, not masked yet, and how many of its values had to be cut to the clip."""

    numbers: Numbers
    clipped: int


def encoded(
    layout: Layout,
    start: ModuleSource,
    after: ModuleSource,
    weight: float,
    sites: int,
    least: int = LEAST_SITES,
    random: SecretRandom | None = None,
) -> Encoded:
    """The numbers of an update. `weight`: as a share of the largest one. `sites`: how many mask together.

    Where the masking has noise, all weigh the same, and the update is shortened to the clip and cut towards zero, which
    makes it no longer. The site adds 1 / sqrt(least - 1) of the noise, rounded, drawn from `random`. At least `least`
    sites are in any sum that can be opened: so it holds the whole noise also for a site that knows its own share.
    Rounded shares add up to the rounded whole but for 2^-100, as each is thousands of units wide (Kairouz et al. 2021,
    arXiv 2102.06387).
    """
    clip, noise = layout.masking.clip, layout.masking.noise_multiplier
    weight = weight if noise is None else 1.0
    if not 0 <= weight <= 1:
        largest = layout.masking.largest_weight
        raise UserFacingError("secure.too_heavy", weight=round(weight * largest), largest=largest)
    quantum = (2 ** (layout.masking.bits - 1) - 1) // room_for(layout.masking, sites, least)
    scale, deviation = weight * quantum / clip, 0.0
    if noise is not None:
        random, deviation = random or SecretRandom(), noise * quantum / math.sqrt(least - 1)
        scale *= min(1.0, clip / max(clip, _length(layout, start, after)))
    numbers = np.empty(layout.length, dtype=np.uint32)
    clipped = 0
    for name, factor, place, shape in layout.places():
        change = _values(after, name, factor, shape) - _values(start, name, factor, shape)
        if random is None or noise is None:
            clipped += int(np.count_nonzero(np.abs(change) > clip))
            np.clip(change, -clip, clip, out=change)
            change *= scale
            np.rint(change, out=change)
        else:
            change *= scale
            np.trunc(change, out=change)
            change += np.rint(deviation * random.normals(change.size)).reshape(shape)
        numbers[place] = change.ravel().astype(np.int32).view(np.uint32)
    numbers[-2], numbers[-1] = divmod(round(weight * quantum * _PARTS), _PARTS)
    return Encoded(numbers, clipped)


def _length(layout: Layout, start: ModuleSource, after: ModuleSource) -> float:
    """Euclidean length of the whole change."""
    squares = 0.0
    for name, factor, _, shape in layout.places():
        change = _values(after, name, factor, shape) - _values(start, name, factor, shape)
        squares += float(np.sum(change * change))
    return math.sqrt(squares)


def decoded(layout: Layout, start: ModuleSource, total: Numbers, server_step: float = 1.0) -> Adapter:
    """The start plus the average change, so many times, from the sum of all numbers, of which no mask is left.

    The start itself where all weights were 0: then nobody had learned from anything.
    """
    spare = 32 - layout.masking.bits
    weights = int(total[-2]) + int(total[-1]) / _PARTS
    step = server_step * layout.masking.clip / weights if weights else 0.0
    moved: dict[str, dict[Factor, NDArray[np.float32]]] = {}
    for name, factor, place, shape in layout.places():
        signed = (total[place] << np.uint32(spare)).view(np.int32) >> spare
        change = signed.astype(np.float64).reshape(shape)
        change *= step
        change += _values(start, name, factor, shape)
        moved.setdefault(name, {})[factor] = change.astype(np.float32)
    modules = {}
    for name, factors in moved.items():
        before = start.module(name)
        modules[name] = Module(factors.get("B", before.B), factors.get("A", before.A), before.scale)
    return Adapter(modules)


def _values(adapter: ModuleSource, name: str, factor: Factor, shape: tuple[int, int]) -> NDArray[np.float64]:
    module = adapter.module(name)
    values = module.A if factor == "A" else module.B
    if values.shape != shape:
        found, expected = str(values.shape), str(shape)
        raise UserFacingError("update.wrong_shape", module=name, found=found, expected=expected)
    return values.astype(np.float64)
