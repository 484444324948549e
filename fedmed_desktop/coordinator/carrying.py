# SPDX-License-Identifier: Apache-2.0
"""Rounds carried by hand: bundles for a site that has no line, and what comes back from it.

A session of the site is played on a line that ends in files, so a carried update meets every check that one on a
connection meets, and none other.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter
from websockets.asyncio.server import ServerConnection

from .. import events
from ..errors import UserFacingError
from ..federation.inputs import SiteJoined
from ..files import make_folder, write_durably
from ..protocol.bundle import CARRIED, MAX_HEAD_BYTES, Bundle, for_coordinator, sealed, texts
from ..protocol.handshake import challenge
from ..protocol.messages import (
    VERSION,
    Ask,
    Decline,
    Finished,
    Message,
    Missing,
    NotAsked,
    OfferUpdate,
    Receipt,
    Refused,
    Waiting,
    Want,
    Welcome,
    decode,
    encode,
)
from ..protocol.transfer import CHUNK, Chunk
from ..storage.audit_row import AuditEntry, named
from ..storage.bundle_file import BundleFile, read_bundle, write_bundle
from ..storage.roll import Member
from .authentication import check_joining
from .host import Host
from .limits import SiteLimits
from .session import SiteSession

# A blob that nobody has. Who asks for it is told so after all that was said before.
_NOTHING: Final = "0" * 64
_ANSWERS: Final = "carried"  # folder with what each site is still to be told

Said = Literal["invited", "waiting", "asked", "to_score", "finished", "rests", "wait"]


class Answer(BaseModel):
    """Outcome of one update or decline that was carried here; `final`: of the scores after the last round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["counted", "refused", "declined"]
    round: int
    final: bool = False
    code: str = ""
    params: dict[str, str | int | float] = {}


@dataclass(frozen=True)
class Exported:
    """Contents of a bundle for a site, in a word, and its round."""

    site: str
    says: Said
    round: int
    bytes: int


@dataclass(frozen=True)
class Imported:
    """Outcome of a bundle. `waits`: the site is still to be confirmed by the host, and nothing else was taken."""

    site: str
    waits: bool
    answers: tuple[Answer, ...]


def exported(result: Any) -> Exported:
    """Reads the answer of a coordinator to the command that exports."""
    return TypeAdapter(Exported).validate_python(result)


def imported(result: Any) -> Imported:
    """Reads the answer of a coordinator to the command that imports."""
    return TypeAdapter(Imported).validate_python(result)


class Carrying:
    """Exchanges bundles for one host, on its event loop. One at a time."""

    def __init__(self, host: Host, data_dir: Path, emit: Callable[[events.Event], None]) -> None:
        self._host = host
        self._answers = data_dir / _ANSWERS
        self._emit = emit
        self._limits = SiteLimits(asyncio.get_running_loop().time)

    # -- to a site -----------------------------------------------------------------------------------------------------

    async def export(self, site: str, target: Path, by: str) -> Exported:
        """Writes what this site is to be told now. Raises UserFacingError where nobody of this name may take part."""
        host = self._host
        name, member = await asyncio.to_thread(host.admission.whom, site)
        await host.combining.caught_up()
        said, blobs = await self._words(member) if member and member.key else ([], {})
        asked = challenge(host.key, secrets.token_hex(32), CARRIED)
        sizes = {sha256: path.stat().st_size for sha256, path in blobs.items()}
        bundle = Bundle(way="to site", site=name, challenge=asked, messages=texts(said), blobs=sizes)
        head = sealed(host.key, bundle)
        await asyncio.to_thread(write_bundle, target, head, blobs)
        number = host.rounds.state.round
        host.trail.tell(_entry("exported", name, number, head, by))
        return Exported(name, _gist(said), number, len(head) + sum(sizes.values()))

    async def _words(self, member: Member) -> tuple[list[Message], dict[str, Path]]:
        """All that a connected site would be told, and the blobs that it would ask for."""
        assert member.key is not None
        if member.state == "waiting":
            return [Waiting(site=member.name)], {}
        answers = await asyncio.to_thread(self._saved, member)
        line = _Line(None, [])
        session = self._session(member, line)
        await session.serve()
        state, blobs = self._host.rounds.state, dict[str, Path]()
        where = {"spec": self._host.spec, "round": state.round, "phase": state.phase}
        welcome = Welcome(version=VERSION, site=member.name, federation=self._host.federation, **where)
        now = [message for message in line.said if isinstance(message, Ask | NotAsked | Finished)]
        for message in now:
            for sha256 in _blobs_of(message):
                blobs[sha256] = await self._host.checking.whole(state.round, sha256)
        return [welcome, *answers, *now], blobs

    def _session(self, member: Member, line: _Line) -> SiteSession:
        assert member.key is not None
        connection = cast(ServerConnection, line)  # all of one that a session uses
        return SiteSession(member.name, member.key, connection, self._host, self._emit, Counter(), self._limits)

    # -- from a site ---------------------------------------------------------------------------------------------------

    async def take(self, path: Path, by: str) -> Imported:
        """Takes what a site says in a bundle. Safe to repeat. Raises UserFacingError where nothing can be taken."""
        host = self._host
        file = await asyncio.to_thread(read_bundle, path, MAX_HEAD_BYTES)
        bundle, hello = for_coordinator(file.head, host.key.fingerprint)
        said = bundle.said()
        for message in said:
            if not isinstance(message, OfferUpdate | Decline):
                raise UserFacingError("protocol.not_understood", place=message.type, reason="not from a site's file")
        await asyncio.to_thread(file.check, bundle.blobs)
        check_joining(hello, host)
        member = await asyncio.to_thread(host.admission.join, hello, invited_only=True)
        if member.state != "admitted":
            return Imported(member.name, member.state == "waiting", ())
        if member.name in host.sessions:
            raise UserFacingError("bundle.connected", site=member.name)
        line = _Line(file, said)
        session = host.sessions[member.name] = self._session(member, line)  # a connection of it waits for the end
        try:
            host.trail.tell(_entry("imported", member.name, host.rounds.state.round, file.head, by))
            await host.apply(SiteJoined(site=member.name, rank_cap=hello.rank_cap))
            await session.serve()
        finally:
            del host.sessions[member.name]
            session.ended.set()
            host.bulletin.changed()
        answers = [message for message in line.said if isinstance(message, Receipt | Refused)]
        await asyncio.to_thread(self._save, member, answers)
        await host.combining.caught_up()
        declines = [message for message in said if isinstance(message, Decline)]
        told = tuple(_answer(message, host.spec.rounds) for message in [*answers, *declines])
        return Imported(member.name, False, told)

    # -- what a site is still to be told -------------------------------------------------------------------------------

    def _path(self, member: Member) -> Path:
        return self._answers / f"{member.fingerprint}.json"

    def _save(self, member: Member, answers: list[Receipt | Refused]) -> None:
        make_folder(self._answers)
        write_durably(self._path(member), json.dumps([encode(one) for one in answers]).encode())

    def _saved(self, member: Member) -> list[Message]:
        """Answers to what was carried here last; lost ones cost a way more, since the site says it again."""
        with contextlib.suppress(FileNotFoundError, ValueError, UserFacingError):
            return [decode(text) for text in json.loads(self._path(member).read_bytes())]
        return []


class _Line:
    """Stands for a connection: says what a bundle says, gives the blobs that are asked for, and keeps the answers."""

    def __init__(self, file: BundleFile | None, messages: list[Message]) -> None:
        self.protocol = SimpleNamespace(max_message_size=0)
        self.transport = SimpleNamespace(abort=lambda: None)
        self.said: list[Message] = []
        self._file = file
        self._messages = messages
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def send(self, text: str) -> None:
        message = decode(text)
        self.said.append(message)
        if isinstance(message, Want | Receipt | Refused | Missing):
            self._answers.put_nowait(message)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        for message in self._messages:
            yield encode(message)
            if isinstance(message, OfferUpdate):
                async for frame in self._parts(message.update.sha256):
                    yield frame
        yield encode(Want(sha256=_NOTHING))
        while not isinstance(await self._answers.get(), Missing):
            pass

    async def _parts(self, update: str) -> AsyncIterator[str | bytes]:
        """Parts of the offered update as they are wanted, until it is answered."""
        while True:
            match await self._answers.get():
                case Want(sha256=sha256, offset=offset) if self._file and sha256 in self._file.places:
                    total, pieces = self._file.sizes[sha256], self._file.pieces(sha256, offset, CHUNK)
                    while piece := await asyncio.to_thread(next, pieces, None):
                        yield Chunk(sha256, piece[0], total, piece[1]).encode()
                case Want(sha256=sha256):
                    yield encode(Missing(sha256=sha256))
                case Receipt(update=answered) | Refused(update=answered) if answered == update:
                    return


def _blobs_of(message: Ask | NotAsked | Finished) -> tuple[str, ...]:
    match message:
        case Ask(plan=plan):
            return plan.blobs
        case Finished(adapter=adapter, frozen=frozen):
            return (adapter, frozen) if frozen else (adapter,)
    return ()


def _gist(said: list[Message]) -> Said:
    """Contents of a bundle in a word for the host."""
    if not said:
        return "invited"
    match said[-1]:
        case Waiting():
            return "waiting"
        case Ask(plan=plan):
            return "to_score" if plan.kind == "evaluate" else "asked"
        case Finished():
            return "finished"
        case NotAsked():
            return "rests"
    return "wait"


def _answer(message: Receipt | Refused | Decline, rounds: int) -> Answer:
    final = message.round > rounds
    match message:
        case Receipt(round=number):
            return Answer(outcome="counted", round=number, final=final)
        case Refused(round=number, code=code, params=params):
            return Answer(outcome="refused", round=number, final=final, code=code, params=dict(params))
        case Decline(round=number, code=code):
            return Answer(outcome="declined", round=number, final=final, code=code)


def _entry(action: Literal["exported", "imported"], site: str, number: int, head: bytes, by: str) -> AuditEntry:
    about = {"object_type": "file", "object_hash": hashlib.sha256(head).hexdigest(), "peer": named(site)}
    return AuditEntry(action_code=action, role="host", actor_name=by, round=number, **about)
