# SPDX-License-Identifier: Apache-2.0
"""Bytes that are offered as an adapter and are none, or one that would do harm: each is refused with its code."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmed_desktop.federation import LocalResult, Part, Update
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.protocol.messages import Receipt, Want
from fedmed_desktop.protocol.transfer import CHUNK
from fedmed_desktop.wording import SENTENCES
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.hostile import Target, attacked, outcome
from tests.parts.loopback import RawSite, coordinator, until

pytestmark = pytest.mark.integration

SPEC = small_spec(rounds=1, sites=2, quorum=1)
HONEST_BLOB = moved(INITIAL, 7).to_blob()
FILE, ENTRY = "lora.file_header", "lora.tensor_entry"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """After all attacks the honest site does its part in the round."""
    with attacked(tmp_path_factory.mktemp("coordinator"), SPEC) as found:
        yield found
        asyncio.run(found.finish())
        assert not list((found.host.blobs.folder / "parts").iterdir())
        assert not Path("unpickled").exists()


def header() -> dict[str, Any]:
    length = int.from_bytes(HONEST_BLOB[:8], "little")
    return dict(json.loads(HONEST_BLOB[8 : 8 + length]))


def data() -> bytes:
    return HONEST_BLOB[8 + int.from_bytes(HONEST_BLOB[:8], "little") :]


def packed(raw: bytes, content: bytes | None = None) -> bytes:
    return len(raw).to_bytes(8, "little") + raw + (data() if content is None else content)


def with_header(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The honest blob with another header, written as ours are."""
    said = header()
    change(said)
    raw = json.dumps(said, separators=(",", ":")).encode()
    return packed(raw + b" " * (-len(raw) % 8))


FIRST, SECOND = sorted(name for name in header() if name != "__metadata__")[:2]


def entry(**changes: Any) -> bytes:
    return with_header(lambda said: said[FIRST].update(changes))


def offsets(*found: Any) -> bytes:
    return entry(data_offsets=list(found))


def metadata(**changes: Any) -> bytes:
    def change(said: dict[str, Any]) -> None:
        inner = json.loads(said["__metadata__"]["fedmed_adapter"])
        inner.update(changes)
        said["__metadata__"]["fedmed_adapter"] = json.dumps(inner, separators=(",", ":"))

    return with_header(change)


def swapped(said: dict[str, Any]) -> None:
    said[FIRST]["data_offsets"], said[SECOND]["data_offsets"] = (
        said[SECOND]["data_offsets"],
        said[FIRST]["data_offsets"],
    )


def renamed(name: str) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        said[name] = said.pop(FIRST)

    return change


def twice() -> bytes:
    raw = json.dumps(header(), separators=(",", ":"))
    return packed(raw.replace("{", f'{{"{FIRST}":{json.dumps(header()[FIRST])},', 1).encode())


def values(value: float, every: int = 1) -> bytes:
    """The honest blob with this value in place of its numbers."""
    found = np.frombuffer(data(), "<f4").copy()
    found[::every] = value
    return HONEST_BLOB[: -len(data())] + found.tobytes()


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../../etc/passwd", content)
        archive.writestr("data.pkl", pickle.dumps(print))
    return file.getvalue()


class Harmful:
    """Would write a file wherever it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("unpickled"),)


def shapes(change: Callable[[Adapter], Adapter]) -> bytes:
    return change(moved(INITIAL, 7)).to_blob()


BLOBS: dict[str, tuple[bytes, str]] = {
    # numbers
    "NaN": (values(np.nan), "lora.tensor_not_finite"),
    "one NaN": (HONEST_BLOB[:-4] + np.float32(np.nan).tobytes(), "lora.tensor_not_finite"),
    "a NaN with a payload": (HONEST_BLOB[:-4] + b"\x01\x00\xa0\x7f", "lora.tensor_not_finite"),
    "infinity": (values(np.inf, 17), "lora.tensor_not_finite"),
    "minus infinity": (values(-np.inf, 17), "lora.tensor_not_finite"),
    "the largest of all": (values(3.4028235e38), "update.wild"),
    "a huge norm": (values(1e30, 5), "update.wild"),
    "just too large": (values(-2e9, 50), "update.wild"),
    "denormal, and another norm": (values(1e-45), "update.wrong_norm"),
    "all zero, and another norm": (values(0.0), "update.wrong_norm"),
    # the file
    "one byte": (b"\0", "lora.file_cut_off"),
    "a length alone": ((5).to_bytes(8, "little"), "lora.file_cut_off"),
    "a header of terabytes": ((2**42).to_bytes(8, "little") + b"{}", "lora.file_header_size"),
    "the longest header": (b"\xff" * 8 + b"{}", "lora.file_header_size"),
    "a header beyond the end": ((10**6).to_bytes(8, "little") + b"{}", "lora.file_cut_off"),
    "no header": (packed(b""), FILE),
    "an empty table": (packed(b"{}", b""), "lora.metadata"),
    "not json": (packed(b"{'a': 1}"), FILE),
    "a list": (packed(b"[]"), FILE),
    "deep": (packed(b"[" * 100_000), FILE),
    "deep tables": (packed(b'{"a":' * 50_000), FILE),
    "NaN in it": (packed(b'{"a": NaN}'), FILE),
    "an endless number": (packed(b'{"a": ' + b"9" * 100_000 + b"}"), FILE),
    "no UTF-8": (packed(b'{"\xff": 1}'), FILE),
    "cut off": (HONEST_BLOB[:-4], ENTRY),
    "bytes after the end": (HONEST_BLOB + b"\0\0\0\0", "lora.file_size"),
    "blanks in it": (packed(json.dumps(header()).encode()), "lora.not_canonical"),
    "a key twice": (twice(), FILE),
    # tensors
    "overlapping": (offsets(0, 0), ENTRY),
    "backwards": (offsets(64, 0), ENTRY),
    "in another order": (with_header(swapped), ENTRY),
    "a gap": (with_header(lambda said: said.pop(FIRST)), ENTRY),
    "of terabytes": (entry(shape=[2**20, 2**20], data_offsets=[0, 2**42]), ENTRY),
    "that overflow": (entry(shape=[2**62, 4], data_offsets=[0, 2**64]), ENTRY),
    "below zero": (offsets(-64, 0), ENTRY),
    "in fractions": (offsets(0.0, 64.0), ENTRY),
    "in words": (offsets("0", "64"), ENTRY),
    "three of them": (offsets(0, 32, 64), ENTRY),
    "no shape": (with_header(lambda said: said[FIRST].pop("shape")), ENTRY),
    "an empty shape": (entry(shape=[0, 8], data_offsets=[0, 0]), ENTRY),
    "a shape of truths": (entry(shape=[True, 16]), ENTRY),
    "nine dimensions": (entry(shape=[1] * 8 + [16]), ENTRY),
    "an unknown type": (entry(dtype="PICKLE"), "lora.tensor_dtype"),
    "another type": (entry(dtype="F16", data_offsets=[0, 32]), ENTRY),
    "a type that is none": (entry(dtype=["F32"]), "lora.tensor_dtype"),
    "no table": (with_header(lambda said: said.update({FIRST: [1, 2]})), ENTRY),
    "a name with a path": (with_header(renamed("../../../etc/passwd.lora_A")), "lora.partner_missing"),
    "an endless name": (with_header(renamed("x" * 50_000)), "lora.partner_missing"),
    "a control character": (with_header(renamed("\0\x1b[2J")), "lora.partner_missing"),
    # metadata
    "no metadata": (with_header(lambda said: said.pop("__metadata__")), "lora.metadata"),
    "a list as metadata": (with_header(lambda said: said.update({"__metadata__": [1]})), FILE),
    "numbers as metadata": (with_header(lambda said: said.update({"__metadata__": {"fedmed_adapter": 1}})), FILE),
    "more metadata": (with_header(lambda said: said["__metadata__"].update(note="Mrs Miller")), "lora.metadata"),
    "a later format": (metadata(format=2), "lora.format_too_new"),
    "no scales": (metadata(scales={}), "lora.adapter_empty"),
    "a scale of nothing": (metadata(scales=dict.fromkeys(INITIAL, 0.0)), "lora.scale"),
    "an infinite scale": (metadata(scales={name: float("inf") for name in INITIAL}), FILE),
    "a scale in words": (metadata(scales=dict.fromkeys(INITIAL, "2.0")), "lora.scale"),
    "a module with a path": (metadata(scales={"../../../etc/passwd": 2.0}), "lora.module_name"),
    # other files
    "a pickle": (pickle.dumps(Harmful()), "lora.file_header_size"),
    "a pickle as a header": (packed(pickle.dumps(Harmful()), b""), FILE),
    "a zip archive": (zipped(bytes(10_000)), "lora.file_header_size"),
    "a bomb": (gzip.compress(bytes(2**24), mtime=1), "lora.file_header_size"),
    "a program": (b"\x7fELF" + bytes(100), "lora.file_header_size"),
    # adapters that were not asked for
    "another rank": (
        shapes(lambda a: a.map(lambda m: Module(m.B[:, :1], m.A[:1], m.scale))),
        "update.wrong_rank",
    ),
    "another scale": (shapes(lambda a: a.map(lambda m: Module(m.B, m.A, 99 * m.scale))), "update.wrong_scale"),
    "another shape": (
        shapes(lambda a: a.map(lambda m: Module(np.vstack([m.B, m.B]), m.A, m.scale))),
        "update.wrong_shape",
    ),
    "a module too many": (shapes(lambda a: Adapter({**a, "x": next(iter(a.values()))})), "update.foreign_module"),
    "a module too few": (shapes(lambda a: Adapter(dict(list(a.items())[1:]))), "update.missing_module"),
    "of mebibytes": (bytes(3 * 2**20), "update.too_large"),
}


def offered(site: RawSite, blob: bytes) -> LocalResult:
    assert site.asked is not None
    result = result_of(site.asked.plan, INITIAL, moved(INITIAL, 7))
    part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
    update = Update(round=1, parts={"adapter": part}, report=result.update.report)
    return LocalResult(update, {"adapter": blob}, result.evidence)


@pytest.mark.parametrize("blob", BLOBS)
async def test_that_what_is_no_honest_adapter_is_refused(blob: str, target: Target) -> None:
    content, code = BLOBS[blob]
    async with target.joined() as site:
        result = offered(site, content)
        await site.say(site.offered(result.update))
        if code != "update.too_large":
            await site.send((await site.hear(Want)).sha256, content, chunk=CHUNK)
        assert await outcome(site) == code
    assert code in SENTENCES
    assert result.update.parts["adapter"].sha256 not in target.host.blobs


@pytest.mark.parametrize("value", [1e-45, -1e-40, 1e9])
async def test_that_numbers_at_the_edge_that_count_can_also_be_combined(value: float, tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1)
    async with coordinator(tmp_path, spec, []) as (host, port), RawSite(port) as site:
        await site.join()
        after = INITIAL.map(lambda m: Module(np.full_like(m.B, value), np.full_like(m.A, value), m.scale))
        await site.offer(result_of(await site.plan(), INITIAL, after))
        await site.hear(Receipt)
        await until(lambda: host.rounds.state.round == 2)
        await site.say(Want(sha256=host.rounds.state.start))
        assert isinstance(await site.next(), object)
