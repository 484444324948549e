# SPDX-License-Identifier: Apache-2.0
"""Inputs for readers, made from honest ones: bytes changed, pieces taken out, doubled, swapped, other values put in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

# What breaks readers: ends of ranges, other kinds, other encodings, what means something in JSON, TOML or a path.
_WORDS: Final = (
    *(b"null", b"true", b"{}", b"[]", b'""', b"NaN", b"Infinity", b"-1", b"1e999", b"-0.0", b"1.5", b"[[[[[[[["),
    *(b"9" * 30, b"9" * 5000, b"9007199254740993", b"18446744073709551616", b"\\ud800", b"\\u0000", b"\xff\xfe", b"\0"),
    *(b"../../../etc/passwd", "\u202e".encode(), "e\u0301".encode(), b"\r\n", b"'''", b'"""', b"fedmed:", b"----"),
    *(b"\xff" * 8, b"\0" * 8, (2**63).to_bytes(8, "little"), (2**42).to_bytes(8, "big"), b'"type":"hello"'),
)


def made(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """An honest input after up to eight changes, now and then any bytes at all."""
    return st.one_of(_changed(seeds), _changed(seeds), _changed(seeds), st.binary(max_size=300))


@st.composite
def _changed(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((0, 1, 2, 8, 40))))
        match draw(st.sampled_from(("put", "in place of", "remove", "double", "bit", "cut off", "from another"))):
            case "put":
                data[at:at] = draw(st.sampled_from(_WORDS))
            case "in place of":
                data[at:end] = draw(st.sampled_from(_WORDS))
            case "remove":
                del data[at:end]
            case "double":
                data[at:at] = data[at:end]
            case "bit" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut off":
                del data[at:]
            case "from another":
                other = draw(st.sampled_from(seeds))
                begin = draw(st.integers(0, len(other)))
                data[at:end] = other[begin : begin + 60]
    return bytes(data)
