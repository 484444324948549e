# SPDX-License-Identifier: Apache-2.0
"""Changes to honest inputs that leave what frames them whole: JSON stays JSON, lengths and checksums stay right."""

from __future__ import annotations

import base64
import binascii
import json
import random
from typing import Any, Final

from fedmed_desktop.protocol.invitation import _CHECKSUM_BYTES, SCHEME, _checksum

_VALUES: Final = (
    None,
    True,
    0,
    1,
    -1,
    2**53,
    2**53 + 1,
    2**64,
    0.5,
    1e30,
    1e31,
    5e-324,
    "",
    "x",
    "ab" * 32,
    [],
    {},
    [[]],
)


def changed_json(data: bytes, rng: random.Random) -> bytes | None:
    """The same JSON with one value put in another's place, taken out, or under another name; None if it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    places = list(_places(value))
    if not places:
        return None
    holder, key = rng.choice(places)
    other, name = rng.choice(places)
    match rng.randrange(5):
        case 0:
            holder[key] = rng.choice(_VALUES)
        case 1:
            holder[key] = other[name]
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[rng.choice((str(name), "../x", "\u202e", ""))] = holder[key]
        case _:
            holder[key] = [holder[key]] * rng.choice((1, 2, 60))
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # it was put into itself
        return None


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in it that holds a value, as the holder and the key."""
    found, left = [], [value]
    while left:
        holder = left.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            left.append(holder[key])
    return found


def changed_blob(data: bytes, rng: random.Random) -> bytes | None:
    """A file of tensors with another header, whose length is right; now and then with its metadata's JSON changed."""
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:end])
        if rng.random() < 0.5:
            (key,) = header["__metadata__"]
            inner = changed_json(header["__metadata__"][key].encode(), rng)
            header["__metadata__"][key] = (inner or b"{}").decode()
            raw = json.dumps(header, separators=(",", ":")).encode()
        else:
            raw = json.dumps(json.loads(changed_json(data[8:end], rng) or b"{}"), separators=(",", ":")).encode()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + data[end:]


def changed_invitation(data: bytes, rng: random.Random) -> bytes | None:
    """The line of an invitation with other bytes in it, under the right checksum."""
    body = data.partition(SCHEME.encode())[2].split(b"\n")[0].strip()
    try:
        read = bytearray(base64.b32decode(body.upper() + b"=" * (-len(body) % 8)))[:-_CHECKSUM_BYTES]
    except binascii.Error:
        return None
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(read) + 1)
        match rng.randrange(3):
            case 0:
                read[at : at + 1] = rng.randbytes(1)
            case 1:
                del read[at : at + rng.choice((1, 4, 30))]
            case _:
                read[at:at] = rng.choice((b"\0", b"\xff", b"@", b":0", b"/../", "\u202e".encode(), b"[::1]", b"x" * 50))
    whole = bytes(read) + _checksum(bytes(read))
    return SCHEME.encode() + base64.b32encode(whole).rstrip(b"=").lower()
