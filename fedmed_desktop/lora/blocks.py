# SPDX-License-Identifier: Apache-2.0
"""Values in fewer bits: bfloat16, and blocks of 8-bit or 4-bit codes that share a scale.

A block is `block` values of a matrix read row by row; the last one of a matrix may be shorter. Its scale is the largest
magnitude in it, rounded up to a bfloat16, so that no value lies outside. int8: a whole number from -127 to 127, times
scale / 127. int4: one of 16 levels, times the scale; two codes to a byte, the first in its lower half, the spare half
of an odd number zero. All of it is float32 arithmetic without sums, so every computer decodes to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from ..arrays import np
from ..errors import UserFacingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

Packed = Literal["bfloat16", "int8", "int4"]

_MOST: Final = 127

# Quantiles of a normal distribution, 0 and both ends among them (NormalFloat4 of QLoRA, arXiv 2305.14314, appendix E):
# of the code books tried, this one lost least on real updates (packaging/benchmarks/transfer.py).
LEVELS: Final = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


@dataclass(frozen=True)
class Coded:
    """A matrix as it travels: codes as int8 or uint8, or bfloat16 as uint16 and then without scales."""

    values: NDArray[Any]
    scales: NDArray[np.uint16] | None = None


def encoded(matrix: Float32, dtype: Packed, block: int, levels: Sequence[float] = LEVELS) -> Coded:
    """The matrix in fewer bits, nearest value by value. Its magnitudes must lie below 3e38."""
    if dtype == "bfloat16":
        return Coded(to_bfloat16(matrix))
    blocks = _in_blocks(matrix, block)
    scales = to_bfloat16(np.abs(blocks).max(axis=1), up=True)
    scale = from_bfloat16(scales)[:, None]
    # A block of zeros has the scale 0; so has no value of it a share.
    shares = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)
    if dtype == "int8":
        return Coded(np.rint(shares * np.float32(_MOST)).astype(np.int8).reshape(-1)[: matrix.size], scales)
    book = np.array(levels, np.float32)
    between = (book[1:] + book[:-1]) / np.float32(2)
    flat, codes = shares.reshape(-1)[: matrix.size], np.zeros(matrix.size, np.uint8)
    for middle in between:  # several times as fast as a search for each value
        codes += flat > middle
    if codes.size % 2:
        codes = np.append(codes, np.uint8(0))
    return Coded(codes[::2] | (codes[1::2] << np.uint8(4)), scales)


def decoded(
    coded: Coded, shape: tuple[int, int], dtype: Packed, block: int, levels: Sequence[float] = LEVELS
) -> Float32:
    """The matrix that codes of the right lengths stand for (`lengths`).

    Raises UserFacingError for a scale that is no finite number of at least 0, a code that `encoded` never gives and a
    spare half byte that is not zero. Values that are not finite come out as they are.
    """
    if dtype == "bfloat16":
        return from_bfloat16(coded.values).reshape(shape)
    assert coded.scales is not None
    scale, size = from_bfloat16(coded.scales), shape[0] * shape[1]
    if not np.isfinite(scale).all() or np.signbit(scale).any():
        raise UserFacingError("lora.packed", reason="a block's scale is not a finite number of at least 0")
    if dtype == "int8":
        if size and coded.values.min() < -_MOST:
            raise UserFacingError("lora.packed", reason="a code lies outside -127 to 127")
        shares, scale = coded.values.astype(np.float32), scale / np.float32(_MOST)
    else:
        if size % 2 and coded.values[-1] >> 4:
            raise UserFacingError("lora.packed", reason="the spare half of its last byte is not zero")
        codes = np.empty(2 * coded.values.size, np.uint8)
        codes[::2], codes[1::2] = coded.values & np.uint8(15), coded.values >> np.uint8(4)
        shares = np.array(levels, np.float32)[codes[:size]]
    blocks = _in_blocks(shares, block)
    blocks *= scale[:, None]
    return blocks.reshape(-1)[:size].reshape(shape)


def lengths(size: int, dtype: Packed, block: int) -> tuple[int, int]:
    """Numbers of codes' items and of scales that a matrix of so many values has; none of scales in bfloat16."""
    if dtype == "bfloat16":
        return size, 0
    return (size if dtype == "int8" else -(-size // 2)), -(-size // block)


def to_bfloat16(values: Float32, *, up: bool = False) -> NDArray[np.uint16]:
    """The upper half of each float32: the nearest, ties to even, or with `up` the next of no smaller magnitude."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    half = np.uint32(0xFFFF) if up else np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + half) >> np.uint32(16)).astype("<u2")


def from_bfloat16(halves: NDArray[np.uint16]) -> Float32:
    """Each as a float32, exactly."""
    return (halves.astype("<u4") << np.uint32(16)).view("<f4")


def _in_blocks(values: Float32, block: int) -> Float32:
    """A copy in rows of `block`, filled up with zeros."""
    rows = np.zeros((-(-values.size // block), block), np.float32)
    rows.reshape(-1)[: values.size] = values.reshape(-1)
    return rows
