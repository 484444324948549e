# SPDX-License-Identifier: Apache-2.0
"""Messages and chunks: read back as written, anything else refused in words; a reception ends whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Part, Plan, Report, TrainingSettings, Update
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol import transfer, wire
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.messages import (
    VERSION,
    Ask,
    Decline,
    Finished,
    Goodbye,
    Hello,
    Message,
    Missing,
    NotAsked,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Standing,
    Waiting,
    Want,
    Welcome,
    decode,
    encode,
)
from fedmed_desktop.protocol.transfer import CHUNK, MAX_BLOB_BYTES, MAX_FRAME_BYTES, Chunk, Reception, decode_chunk
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.standing import ClosedRound
from fedmed_desktop.wording import sentence, told
from tests.parts.federation import small_spec
from tests.parts.told import told_as

SHA = "ab" * 32
KEY = PrivateKey(bytes(32))
UPDATE = Update(round=1, parts={"adapter": Part(sha256=SHA, size=3)}, report=Report(notes=1, loss_before=0.1))
MESSAGES: list[Message] = [
    challenge(KEY, SHA, ""),
    challenge(KEY, SHA, SHA),
    Hello(version=VERSION, site="St. Mary-s", key=SHA, base=SHA),
    Hello(version=VERSION, site="A", key=SHA, base=SHA, rank_cap=8, code="0" * 32, token="t" * 32, signature="a" * 128),
    Waiting(site="St. Mary-s"),
    Welcome(version=VERSION, site="A", federation=SHA, spec=small_spec(), round=1, phase="open"),
    Goodbye(code="join.version", params={"site": 1, "coordinator": 2}, final=True),
    Ask(plan=Plan(round=1, start=SHA, rank=2, training=TrainingSettings(steps=1), seed=2**64 - 1)),
    NotAsked(round=2),
    Progress(round=1, phase="training"),
    OfferUpdate(update=UPDATE, plan=SHA, approval=SHA, audit=SHA),
    Decline(round=1, code="kept", attempt=2),
    Want(sha256=SHA, offset=2**40),
    Missing(sha256=SHA),
    Receipt(round=1, update=SHA, time=datetime(2026, 1, 1, tzinfo=UTC)),
    Refused(round=1, update=SHA, code="update.wrong_rank", params={"module": "m", "found": 1, "expected": 2}),
    Finished(adapter=SHA, size=7),
    Finished(adapter=SHA, size=7, frozen=SHA),
    Standing(
        round=2,
        rounds=3,
        attempt=1,
        phase="open",
        opened=datetime(2026, 1, 1, tzinfo=UTC),
        closes=None,
        sites={"sent": 1, "offline": 2},
        connected=1,
        history=(
            ClosedRound(
                round=1,
                closed=datetime(2026, 1, 1, tzinfo=UTC),
                sent=2,
                scores_before=Scores.of_entities(TaskScores(strict={"drug": Counts(tp=1)})),
                scores_after=None,
                residual=0.25,
                weight=None,
                model_drift=0.5,
                performance_drift=0.0,
                rank=8,
                other_ranks=(4, 8),
            ),
        ),
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.type)
def test_that_every_message_is_read_back_as_written(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.type)
def test_that_an_unknown_key_is_refused_by_its_place(message: Message) -> None:
    data = json.loads(encode(message)) | {"note_text": "x"}
    with told_as(rf"{message.type}\.note_text") as caught:
        decode(json.dumps(data))
    assert caught.value.code == "protocol.not_understood"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        "null",
        '{"type": "shutdown"}',
        '{"type": ["hello"]}',
        '{"type": "want", "sha256": "' + "AB" * 32 + '"}',
        '{"type": "want", "sha256": "' + "ab" * 32 + '", "offset": -1}',
        '{"type": "want", "sha256": "../../etc/passwd"}',
        '{"type": "finished", "adapter": "' + "ab" * 32 + '", "size": 0}',
        '{"type": "hello", "version": 1, "site": "../A", "key": "' + "ab" * 32 + '", "base": "' + "ab" * 32 + '"}',
        '{"type": "goodbye", "code": "x", "params": {"n": NaN}, "final": true}',
        '{"type": "decline", "round": 1, "code": "because I say so"}',
        "[" * 100_000,
        '{"type": "\\ud800"}',
        "{" + ",".join(f'"k{i}": {i}' for i in range(5000)) + ', "type": "hello"}',
    ],
)
def test_that_what_is_no_message_is_refused_in_words(text: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        decode(text)
    assert caught.value.code == "protocol.not_understood"
    assert "same version" in told(caught.value) and len(told(caught.value)) < 800


@settings(max_examples=100)
@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=10).map(json.dumps))
def test_that_no_text_does_anything_but_that(text: str) -> None:
    with pytest.raises(UserFacingError):
        decode(text)


MUTATIONS = st.tuples(
    st.sampled_from([encode(m) for m in MESSAGES]), st.integers(0, 10_000), st.characters(codec="ascii")
)


@settings(max_examples=150)
@given(MUTATIONS)
def test_that_a_damaged_message_is_refused_or_another_message(mutation: tuple[str, int, str]) -> None:
    text, at, letter = mutation
    at %= len(text)
    try:
        decoded = decode(text[:at] + letter + text[at + 1 :])
    except UserFacingError as error:
        assert error.code == "protocol.not_understood"
    else:
        assert decode(encode(decoded)) == decoded


def test_that_a_refusal_without_its_parameters_still_has_a_sentence() -> None:
    assert "rank" in sentence("update.wrong_rank", {})
    assert sentence("update.wrong_norm", {}) == "The update's norm is …, but its report says …."
    assert sentence("code.of_a_newer_peer", {"a": 1}) == "code.of_a_newer_peer (a=1)"
    assert "rank" in str(UserFacingError("update.wrong_rank", other="x"))


# -- chunks ------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=200), st.integers(0, 1000), st.integers(0, 1000))
def test_that_a_chunk_is_read_back_as_written(data: bytes, offset: int, rest: int) -> None:
    chunk = Chunk(SHA, offset, offset + len(data) + rest, data)
    assert decode_chunk(chunk.encode()) == chunk


@settings(max_examples=150)
@given(st.binary(max_size=120))
def test_that_any_bytes_are_a_chunk_inside_its_blob_or_refused(frame: bytes) -> None:
    try:
        chunk = decode_chunk(frame)
    except UserFacingError as error:
        assert error.code == "protocol.bad_chunk"
    else:
        assert chunk.data and chunk.offset + len(chunk.data) <= chunk.total <= MAX_BLOB_BYTES


@pytest.mark.parametrize(
    "frame",
    [
        Chunk(SHA, 0, 5, b"").encode(),
        Chunk(SHA, 0, 2, b"abc").encode(),
        Chunk(SHA, 2**63, 5, b"abc").encode(),
        Chunk(SHA, 0, MAX_BLOB_BYTES + 1, b"abc").encode(),
        Chunk(SHA, 0, CHUNK + 1, b"x" * (CHUNK + 1)).encode(),
        b"",
    ],
)
def test_that_a_chunk_outside_its_bounds_is_refused(frame: bytes) -> None:
    with told_as("A piece of an adapter cannot be accepted"):
        decode_chunk(frame)


def test_that_the_largest_chunk_fits_a_frame_on_both_ends() -> None:
    frame = Chunk(SHA, 0, CHUNK, b"x" * CHUNK).encode()
    assert len(frame) == MAX_FRAME_BYTES
    assert min(wire.MAX_SIZE_TO_COORDINATOR, wire.MAX_SIZE_TO_SITE) >= MAX_FRAME_BYTES


# -- reception ---------------------------------------------------------------------------------------------------------

BLOB = bytes(range(256)) * 4
BLOB_SHA = hashlib.sha256(BLOB).hexdigest()


def piece(begin: int, end: int, total: int = len(BLOB)) -> Chunk:
    return Chunk(BLOB_SHA, begin, total, BLOB[begin:end])


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "blob.part"


def test_that_a_reception_is_whole_once_all_bytes_are_there(part: Path) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    assert not reception.write(piece(0, 500))
    assert reception.write(piece(500, 1024)) and reception.complete
    assert reception.finish().read_bytes() == BLOB


def test_that_a_reception_resumes_after_a_restart(part: Path) -> None:
    Reception(BLOB_SHA, part).write(piece(0, 700))
    again = Reception(BLOB_SHA, part)
    assert again.received == 700 and not again.complete
    assert again.write(piece(700, 1024))
    assert again.finish().read_bytes() == BLOB


def test_that_repeated_and_overlapping_chunks_are_taken_once(part: Path) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    for begin, end in ((0, 300), (0, 300), (100, 200), (200, 600), (0, 1024), (5, 10)):
        reception.write(piece(begin, end))
    assert reception.complete and reception.finish().read_bytes() == BLOB


@settings(max_examples=60)
@given(
    ranges=st.lists(st.tuples(st.integers(0, 1023), st.integers(1, 600)), max_size=30),
    restarts=st.sets(st.integers(0, 30)),
)
def test_that_no_order_of_chunks_makes_wrong_bytes(
    ranges: list[tuple[int, int]], restarts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parts") / "p"
    reception = Reception(BLOB_SHA, path, len(BLOB))
    for number, (begin, length) in enumerate(ranges):
        if number in restarts:
            reception = Reception(BLOB_SHA, path, len(BLOB))
        try:
            reception.write(piece(begin, min(begin + length, 1024)))
        except UserFacingError as error:
            assert begin > reception.received and error.code == "protocol.bad_chunk"
    held = path.read_bytes() if path.exists() else b""
    assert held == BLOB[: reception.received]


def test_that_a_gap_and_a_changed_length_are_refused_and_change_nothing(part: Path) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    reception.write(piece(0, 10))
    for wrong, words in ((piece(11, 20), "missing"), (piece(10, 20, total=2000), "length changed")):
        with told_as(words):
            reception.write(wrong)
    assert part.read_bytes() == BLOB[:10]


def test_that_a_sender_cannot_write_more_than_was_announced(part: Path) -> None:
    reception = Reception(BLOB_SHA, part, 100)
    with told_as("length changed"):
        reception.write(piece(0, 500))
    assert not part.exists()


def test_that_a_wrong_hash_deletes_the_part_file(part: Path) -> None:
    wrong = Reception("00" * 32, part, len(BLOB))
    wrong.write(piece(0, 1024))
    with pytest.raises(UserFacingError) as caught:
        wrong.finish()
    assert caught.value.code == "update.wrong_hash" and not part.exists()
    assert Reception("00" * 32, part).received == 0


def test_that_a_part_file_longer_than_the_blob_is_begun_anew(part: Path) -> None:
    part.write_bytes(BLOB + b"more")
    assert Reception(BLOB_SHA, part, len(BLOB)).received == 0
    part.write_bytes(BLOB + b"more")
    unknown_size = Reception(BLOB_SHA, part)
    with told_as("bytes before it are missing"):
        unknown_size.write(piece(1023, 1024))
    assert unknown_size.received == 0 and unknown_size.write(piece(0, 1024))


def test_that_a_write_that_a_full_disk_cut_off_leaves_no_wrong_bytes(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    reception.write(piece(0, 300))
    with monkeypatch.context() as patched:

        def full(file: BinaryIO, data: bytes | memoryview) -> None:
            file.write(b"x" * (len(data) - 1))
            raise OSError(errno.ENOSPC, "no space left on device")

        patched.setattr(transfer, "_write", full)
        with told_as("disk is full"):
            reception.write(piece(300, 900))
    assert reception.received == 300
    assert not reception.write(piece(300, 600)) and reception.write(piece(600, 1024))
    assert reception.finish().read_bytes() == BLOB


def test_that_a_disk_that_takes_a_write_in_parts_gets_all_of_it() -> None:
    class Slow(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return super().write(bytes(data)[:7])

    written = Slow()
    transfer._write(written, BLOB)
    assert written.getvalue() == BLOB


@pytest.mark.parametrize("left", [None, b"", BLOB[:200]])
def test_that_a_part_file_that_somebody_cut_is_fetched_again(part: Path, left: bytes | None) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    reception.write(piece(0, 300))
    part.unlink() if left is None else part.write_bytes(left)
    reception.write(piece(300, 1024))
    with pytest.raises(UserFacingError, match=r"update\.wrong_hash"):
        reception.finish()
    assert not part.exists()


def test_that_several_chunks_are_written_up_to_the_one_at_fault(part: Path) -> None:
    reception = Reception(BLOB_SHA, part, len(BLOB))
    with told_as("bytes before it are missing"):
        reception.write(piece(0, 100), piece(100, 200), piece(300, 400), piece(200, 300))
    assert part.read_bytes() == BLOB[:200] and reception.received == 200
    assert reception.write(piece(200, 700), piece(700, 1024)) and reception.finish().read_bytes() == BLOB


# -- sending -----------------------------------------------------------------------------------------------------------


class Line:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = 0

    async def send(self, message: bytes | memoryview, /) -> None:
        self.frames.append(bytes(message))

    async def close(self, code: int, reason: str) -> None:
        self.closed = code


def test_that_a_blob_that_cannot_be_read_ends_the_connection_so_that_it_is_asked_for_again(tmp_path: Path) -> None:
    line = Line()
    asyncio.run(wire.send_blob(line, SHA, tmp_path, 0))
    assert line.closed == wire.CANNOT_READ


@pytest.mark.parametrize("offset", [0, 1, CHUNK - 1, CHUNK, CHUNK + 5, 4 * CHUNK + 6])
def test_that_a_blob_is_sent_from_the_offset_on(tmp_path: Path, offset: int) -> None:
    data = (bytes(range(251)) * (4 * CHUNK // 251 + 1))[: 4 * CHUNK + 7]
    path = tmp_path / "blob"
    path.write_bytes(data)
    line, told = Line(), list[tuple[int, int]]()
    asyncio.run(wire.send_blob(line, SHA, path, offset, lambda sent, total: told.append((sent, total))))
    chunks = [decode_chunk(frame) for frame in line.frames]
    assert b"".join(chunk.data for chunk in chunks) == data[offset:]
    assert chunks[0].offset == offset and told[-1] == (len(data), len(data))


@pytest.mark.parametrize("offset", [3, 4, 2**62])
def test_that_who_has_all_bytes_already_still_learns_so(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    line = Line()
    asyncio.run(wire.send_blob(line, SHA, path, offset))
    assert [decode_chunk(frame) for frame in line.frames] == [Chunk(SHA, 2, 3, b"c")]


async def test_that_a_file_stays_open_while_a_thread_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the thread reads on in whatever file is opened next, which then seems to be at its end."""
    path = tmp_path / "blob"
    path.write_bytes(bytes(100))
    reading, go_on, open_then = threading.Event(), threading.Event(), list[bool]()

    def slowly(file: io.FileIO, frames: object) -> list[int]:
        reading.set()
        go_on.wait(20)
        open_then.append(not file.closed)
        return []

    monkeypatch.setattr(wire, "_fill", slowly)
    sending = asyncio.create_task(wire.send_blob(Line(), SHA, path, 0))
    await asyncio.to_thread(reading.wait, 20)
    sending.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert open_then == [True]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_that_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert wire.is_loopback(host) is expected
