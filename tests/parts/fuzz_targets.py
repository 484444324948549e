# SPDX-License-Identifier: Apache-2.0
"""All that reads what others have written, as functions of bytes: each refuses in words, or has read it soundly."""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Plan, dump_spec, load_spec
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.blob import BlobReader, decode_blob, read_blob_header
from fedmed_desktop.lora.quantised import PackedReader, Packing, packed
from fedmed_desktop.lora.tensorfile import read_tensor_header
from fedmed_desktop.overview import Overview, RoundRow, SiteResult, SiteRow
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.hosting import (
    CloseRound,
    ConfirmSite,
    HostAct,
    HostAnswer,
    HostHello,
    HostWelcome,
    Invited,
    InviteSite,
    OverviewChanged,
    Pause,
    Publish,
    RevokeSite,
    RoundSeen,
)
from fedmed_desktop.protocol.invitation import Invitation, file_text, read_invitation
from fedmed_desktop.protocol.messages import (
    VERSION,
    Ask,
    Decline,
    Finished,
    Goodbye,
    Hello,
    Missing,
    NotAsked,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Waiting,
    Want,
    Welcome,
    decode,
    encode,
)
from fedmed_desktop.protocol.transfer import Chunk, decode_chunk
from tests.parts.changed import changed_blob, changed_invitation, changed_json
from tests.parts.federation import FINGERPRINT, INITIAL, moved, result_of, small_spec

_PLAN: Final = TypeAdapter(Plan)
_PACKING: Final = Packing("int4", 16)


@dataclass(frozen=True)
class FuzzTarget:
    """`read` raises nothing, whatever it is given; `seeds` are what an honest side writes.

    `change` makes another input of one, past the syntax and checksums that stop what bytes were changed in at random.
    """

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    change: Callable[[bytes, random.Random], bytes | None] | None = None


def _message(data: bytes) -> None:
    with contextlib.suppress(UserFacingError):
        message = decode(data.decode("utf-8", "replace"))
        again = decode(encode(message))
        assert again == message, (message, again)


def _invitation(data: bytes) -> None:
    with contextlib.suppress(UserFacingError):
        found = read_invitation(data.decode("utf-8", "replace"))
        assert read_invitation(found.line()) == found
        assert found.url.startswith("wss://")


def _chunk(data: bytes) -> None:
    with contextlib.suppress(UserFacingError):
        found = decode_chunk(data)
        assert found.encode() == data and 0 <= found.offset < found.offset + len(found.data) <= found.total


def _header(data: bytes) -> None:
    with contextlib.suppress(UserFacingError):
        found = read_tensor_header(data)
        at = found.data_start
        for entry in found.tensors.values():
            assert found.data_start + entry.begin == at
            at = found.data_start + entry.end
        assert at == len(data)
    with contextlib.suppress(UserFacingError):
        read_blob_header(data)


def _blob(data: bytes) -> None:
    with contextlib.suppress(UserFacingError):
        modules = decode_blob(data)
        assert Adapter(modules).to_blob() == data, "another encoding of the same adapter"
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(UserFacingError):
            reader = BlobReader(Path(file.name))
            for name in reader.names:
                reader.module(name)


def _packed(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(UserFacingError):
            reader = PackedReader(Path(file.name), _PACKING, ("A", "B"), INITIAL)
            assert {name: reader.module(name).shape for name in reader.names}.items() <= INITIAL.shapes.items()


def _spec(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "federation.toml"
        path.write_bytes(data)
        with contextlib.suppress(UserFacingError):
            spec = load_spec(path)
            path.write_text(dump_spec(spec), "utf-8")
            assert load_spec(path) == spec


def _plan(data: bytes) -> None:
    with contextlib.suppress(ValidationError):
        plan = _PLAN.validate_json(data, strict=True)
        assert _PLAN.validate_json(plan.model_dump_json(), strict=True) == plan
        assert len(plan.sha256) == 64 and plan.parts is not None and plan.evaluation().kind == "evaluate"


def _messages() -> tuple[bytes, ...]:
    key, spec, now = PrivateKey(b"k" * 32), small_spec(), datetime(2026, 1, 1, tzinfo=UTC)
    update = result_of(_some_plan(), INITIAL, moved(INITIAL, 1)).update
    some = "ab" * 32
    said = [
        challenge(key, some, some),
        Hello(version=VERSION, site="Köln", key=key.public, base=FINGERPRINT, rank_cap=8, code="ab" * 16),
        Waiting(site="Köln"),
        Welcome(version=VERSION, site="Köln", federation=some, spec=spec, round=1, phase="open"),
        Goodbye(code="join.version", params={"site": 5, "norm": 1.5}, final=True),
        Ask(plan=_some_plan()),
        NotAsked(round=1),
        Progress(round=1, phase="training"),
        OfferUpdate(update=update, plan=some, approval=some, audit=some),
        Decline(round=1, code="kept", plan=some),
        Want(sha256=some, offset=7),
        Missing(sha256=some),
        Receipt(round=1, update=some, time=now),
        Refused(round=1, update=some, code="update.second", params={"found": "x"}),
        Finished(adapter=some, size=9),
        HostHello(version=VERSION, name="Köln", key=key.public, code="ab" * 16),
        HostWelcome(version=VERSION, name="Köln", federation=some, spec=spec),
        OverviewChanged(overview=_overview(now)),
        RoundSeen(round=_closed(now)),
        *[
            HostAct(number=number, act=act)
            for number, act in enumerate(
                (
                    InviteSite(site="Köln", minutes=60),
                    ConfirmSite(site="Köln", key=key.public),
                    RevokeSite(site="Köln"),
                    Pause(),
                    CloseRound(round=1, attempt=2),
                    Publish(adapter=some),
                ),
                1,
            )
        ],
        HostAnswer(number=1, code="hosting.no_quorum", params={"updates": 1}),
        HostAnswer(number=2, invited=Invited(line="fedmed:x", file_text="# x", until=now, confirms=True)),
    ]
    return tuple(encode(message).encode() for message in said)


_RESULT: Final = SiteResult(
    rank=2, notes=9, loss_before=1.0, loss_after=0.5, score_before=None, score_after=0.25, update_norm=1.0, weight=1.0
)


def _closed(now: datetime) -> RoundRow:
    some = "ab" * 32
    return RoundRow(
        round=1,
        attempt=1,
        opened=now,
        closed=now,
        reason="host",
        adapter=some,
        residual=None,
        norm=1.0,
        sites={"Köln": _RESULT},
        declined={"B": "kept"},
        missing=("C",),
    )


def _overview(now: datetime) -> Overview:
    some = "ab" * 32
    row = SiteRow(
        name="Köln",
        state="waiting",
        key=some,
        fingerprint=some,
        words="a-b-c-d-e-f",
        joined=now,
        connected=True,
        word="training",
        phase="training",
        result=_RESULT,
    )
    return Overview.model_validate(
        {
            "phase": "open",
            **dict.fromkeys(("paused_by_host", "confirms", "invites"), True),
            "reason": "",
            "held_up": None,
            **dict.fromkeys(("round", "rounds", "attempt", "updates", "asked", "quorum", "expected"), 1),
            **dict.fromkeys(("adapter_round", "received_bytes", "sent_bytes"), 0),
            **dict.fromkeys(("opened", "closes", "joins_until"), now),
            "adapter": some,
            "sites": (row,),
            "deadlines": ({"name": "train", "minutes": 1.5, "ends": None, "sites": ("Köln",)},),
            "invitations": ({"name": "D", "until": now, "rotates": False, "role": "host"},),
            "hosts": ({"name": "H", "state": "admitted", "fingerprint": some, "connected": False},),
            "refusals": {"close": "hosting.no_quorum"},
        }
    )


def _some_plan() -> Plan:
    return Plan.model_validate(
        {
            "round": 1,
            "start": INITIAL.sha256,
            "rank": 2,
            "training": {"steps": 4},
            "seed": 2**63,
            "objective": ({"term": "proximal", "mu": 0.1}, {"term": "control", "form": "sgd", "control": "cd" * 32}),
            "references": {"median_update_norm": 1.0, "loss": 0.5, "histogram": {"a": 1.0}},
        }
    )


def _invitations() -> tuple[bytes, ...]:
    found = [
        Invitation("fed.hospital.org:8765", "ab" * 32, b"c" * 16, "Mercy General"),
        Invitation("[2001:db8::1]:443", "cd" * 32, bytes(16), "Universitätsklinikum Köln", True),
        Invitation("fed.hospital.org:8765", "ab" * 32, b"d" * 16, "Dr. Host", True, "host"),
    ]
    files = [file_text(one, "Sepsis", datetime(2026, 1, 1, tzinfo=UTC)) for one in found]
    return tuple(text.encode() for text in (*(one.line() for one in found), *files, f"> {files[0][:400]}"))


def _blobs() -> tuple[bytes, ...]:
    whole = INITIAL.to_blob()
    length = 8 + int.from_bytes(whole[:8], "little")
    tiny = json.dumps({"a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}).encode()
    return whole, whole[:length], len(tiny).to_bytes(8, "little") + tiny + bytes(4)


def _specs() -> tuple[bytes, ...]:
    plain = dump_spec(small_spec())
    tomllib.loads(plain)
    other: FederationSpec = small_spec(method={"name": "fedprox", "mu": 0.1})
    return plain.encode(), dump_spec(other).encode()


TARGETS: Final[Mapping[str, FuzzTarget]] = {
    "message": FuzzTarget(_message, _messages(), changed_json),
    "invitation": FuzzTarget(_invitation, _invitations(), changed_invitation),
    "chunk": FuzzTarget(_chunk, (Chunk("ab" * 32, 5, 20, b"hello").encode(), Chunk("cd" * 32, 0, 1, b"x").encode())),
    "header": FuzzTarget(_header, _blobs(), changed_blob),
    "blob": FuzzTarget(_blob, _blobs(), changed_blob),
    "packed": FuzzTarget(_packed, (packed(moved(INITIAL, 1), INITIAL, _PACKING, ("A", "B"))[0],), changed_blob),
    "spec": FuzzTarget(_spec, _specs()),
    "plan": FuzzTarget(_plan, (_some_plan().model_dump_json().encode(),), changed_json),
}
