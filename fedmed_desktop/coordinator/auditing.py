# SPDX-License-Identifier: Apache-2.0
"""Entries of a coordinator's audit chain: what is about to change the federation, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .. import events
from ..errors import UserFacingError
from ..federation import Rounds, Update
from ..federation.actions import Reject, Step
from ..federation.inputs import (
    ClosedByHost,
    Decided,
    HostProof,
    Input,
    PausedByHost,
    Published,
    Resumed,
    RoundCombined,
    SiteDeclined,
    UpdateArrived,
)
from ..identity import fingerprint
from ..storage.audit import FILE, Audit
from ..storage.audit_row import Action, AuditEntry, AuditRow, Meaning, Stage, named, state_word
from ..storage.registry import Registry
from ..storage.roll import Role
from ..storage.secrets import public_key

_MEANINGS: Final[Mapping[Action, Meaning]] = {"confirmed": "confirm", "revoked": "revoke"}
_LOG = logging.getLogger(__name__)


class Trail:
    """Audit chain of one host, on its event loop; `intend` is for the thread that writes the ledger.

    `head` is the chain's last hash as receipts tell it; `peer_heads` are those of the sites' chains, as each told it.
    An intent that finds no room on the disk holds its input up. What has happened is written a moment later, all that
    came in between at once, and waits for room.
    """

    def __init__(self, data_dir: Path, federation: str, host_id: str, clock: Callable[[], datetime]) -> None:
        """Raises UserFacingError if the chain is damaged."""
        self.audit = Audit(data_dir / FILE, "coordinator", federation, host_id)
        self.head = self.audit.head()
        self.peer_heads: dict[str, str] = {}
        self._clock = clock
        self._held_up: str | None = None
        self._waiting: list[AuditEntry] = []
        self._writing: asyncio.Task[None] | None = None

    async def begin(self, rounds: Rounds, published: Collection[str]) -> None:
        """Ends the intents that a crash left open, as the ledger knows them. The start is in the chain on return."""
        self.tell(*_settled(await asyncio.to_thread(self.audit.open_intents), rounds, published))
        self.tell(AuditEntry(action_code="started", role="coordinator", object_type="program"))
        if self._writing:
            await self._writing

    async def end(self) -> None:
        """Writes what waits, and closes the file."""
        self.tell(AuditEntry(action_code="stopped", role="coordinator", object_type="program"))
        if self._writing:
            await self._writing
        self.audit.close()

    def intend(self, given: Input, now: datetime) -> None:
        """Writes what this input is about to change, before the ledger has it. Raises UserFacingError."""
        if entries := _intents(given, self.peer_heads):
            self.head = self.audit.append(*entries, now=now)

    def came(self, given: Input, step: Step, start: str) -> None:
        """Tells what came of an input, once its actions are carried out. `start`: the adapter as of now."""
        self.tell(*_results(given, step, start, self.peer_heads))

    def undone(self, given: Decided, code: str) -> None:
        """Tells that a decision was not written down, so that nothing has changed."""
        if given.by:
            self.tell(_by_host(given, given.by, "failed", code))

    def refused(self, site: str, update: Update, code: str) -> None:
        self.tell(_refused(site, update.round, update.sha256, code))

    def unsigned(self, site: str, kind: str) -> None:
        """Tells that a message of this kind was not signed by the site that it came from."""
        about = {"before": state_word(kind), "peer": named(site)}
        self.tell(AuditEntry(action_code="signature_refused", role="coordinator", **about))

    def not_for(self, who: str, kind: str) -> UserFacingError:
        """The error for a message of this kind that only others may send, such as a host's from a site; it is told."""
        about = {"before": state_word(kind), "peer": named(who)}
        self.tell(AuditEntry(action_code="act_refused", role="coordinator", stage="failed", **about))
        return UserFacingError("protocol.not_understood", place=kind, reason="not from this side")

    def host_came(self, name: str, key: str) -> None:
        """A host has proved its key and is let in."""
        about = {"object_type": "host", "object_id": named(name), "object_hash": fingerprint(key)}
        self.tell(AuditEntry(action_code="joined", role="host", actor_name=name, evidence=fingerprint(key), **about))

    def stands(self, code: str | None) -> None:
        """The federation is held up by this fault, or goes on (None)."""
        if code != self._held_up:
            self._held_up = code
            action: Action = "paused" if code else "resumed"
            after = state_word(code or "")
            self.tell(AuditEntry(action_code=action, role="coordinator", object_type="federation", after=after))

    def tell(self, *entries: AuditEntry) -> None:
        """Queues entries, which are written in order. Never waits."""
        self._waiting += entries
        if self._waiting and self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self.audit.note, *entries, now=self._clock())
            except UserFacingError as error:  # very many wait for a disk that is full
                _LOG.warning("%d audit entries are lost: %s", len(entries), error)
        self._writing = None


@contextmanager
def decided(
    data_dir: Path, registry: Registry, action: Action, site: str, by: str, role: Role | None = None
) -> Iterator[None]:
    """Writes a host's decision on a site to the coordinator's chain, which may run: before the block, and its outcome.

    `role`: of one who is invited; of others the registry knows whether it is a site or a host.

    Raises UserFacingError where the chain is damaged or the disk takes nothing; then nothing was decided.
    """
    owner, key = registry.recall("federation") or "", public_key(data_dir)
    audit = Audit(data_dir / FILE, "coordinator", owner, fingerprint(key) if key else "")
    role = role or registry.role_of(site, datetime.now(UTC)) or "site"
    with closing(audit), decision(audit, action, site, by, role=role):
        yield


@contextmanager
def decision(
    audit: Audit, action: Action, site: str, by: str, evidence: str = "", role: Role = "site"
) -> Iterator[None]:
    """Writes a host's decision on a site to this chain: before the block, and its outcome. See `decided`.

    `evidence`: fingerprint of the key of a host who decides from a desktop.
    """
    about = {"role": "host", "actor_name": by, "evidence": evidence, "object_type": role, "object_id": named(site)}
    intent = AuditEntry(action_code=action, stage="intent", meaning=_MEANINGS.get(action, ""), **about)
    audit.append(intent, now=datetime.now(UTC))
    try:
        yield
    except UserFacingError as error:
        failed = intent.model_copy(update={"stage": "failed", "after": state_word(error.code)})
        audit.note(failed, now=datetime.now(UTC))
        raise
    audit.note(intent.model_copy(update={"stage": "done"}), now=datetime.now(UTC))


def _intents(given: Input, heads: Mapping[str, str]) -> list[AuditEntry]:
    """Entries to write before this input reaches the ledger. `heads`: of the sites' own chains, as they last said."""
    match given:
        case UpdateArrived():
            return [_accepted(given, heads, "intent")]
        case RoundCombined():
            return [_published(given, "intent")]
        case PausedByHost() | ClosedByHost() | Published():
            return [_by_host(given, given.by, "intent")]
        case Resumed(by=HostProof() as by):
            return [_by_host(given, by, "intent")]
    return []


def _by_host(given: Decided, by: HostProof, stage: Stage, code: str = "") -> AuditEntry:
    """A host's decision on the rounds, with the host's name and key."""
    action: Action = "resumed"
    about: dict[str, object] = {"object_type": "federation"}
    match given:
        case PausedByHost():
            action = "paused"
        case ClosedByHost(round=number):
            action, about = "round_closed", {"object_type": "round", "object_id": f"{number}", "round": number}
        case Published(adapter=adapter):
            action, about = "finished", {"object_type": "adapter", "object_hash": adapter}
    about |= {"role": "host", "actor_name": by.host, "evidence": fingerprint(by.key), "after": state_word(code)}
    return AuditEntry(action_code=action, stage=stage, **about)


def _results(given: Input, step: Step, start: str, heads: Mapping[str, str]) -> list[AuditEntry]:
    """Entries to write once the ledger has the input and its actions are carried out."""
    rejected = [_refused(one.site, one.round, one.update, one.code) for one in step.actions if isinstance(one, Reject)]
    changes = _of_input(given, heads) if step.changed else _not_carried_out(given, step)
    return [*rejected, *changes, *_of_events(step, start)]


def _refused(site: str, round_number: int, sha256: str, code: str) -> AuditEntry:
    about = _about_update(site, round_number, sha256) | {"after": state_word(code)}
    return AuditEntry(action_code="update_refused", role="coordinator", **about)


def _settled(open_intents: Iterable[AuditRow], rounds: Rounds, published: Collection[str]) -> list[AuditEntry]:
    """Results of intents that a crash left open, as the ledger knows them.

    Of a host's decisions it knows nothing, and one may be on its way just now, by a command beside this program.
    """
    found = []
    for row in (one for one in open_intents if one.role != "host"):
        counts = row.object_hash in (rounds.receipt_for(row.peer, row.round), *published)
        found.append(row.result("done" if counts else "failed"))
    return found


def _of_input(given: Input, heads: Mapping[str, str]) -> Iterator[AuditEntry]:
    match given:
        case UpdateArrived():
            yield _accepted(given, heads, "done")
        case RoundCombined():
            yield _published(given, "done")
        case SiteDeclined(site=site, round=number, code=code):
            about = {"object_type": "round", "round": number, "after": state_word(code)}
            peer = {"peer": named(site), "peer_head": heads.get(site, "")}
            yield AuditEntry(action_code="declined", role="coordinator", **about, **peer)
        case Resumed(by=None):
            yield AuditEntry(action_code="resumed", role="host", object_type="federation")
        case Resumed(by=HostProof() as by):
            yield _by_host(given, by, "done")
        case PausedByHost(by=by) | ClosedByHost(by=by) | Published(by=by):
            yield _by_host(given, by, "done")


def _not_carried_out(given: Input, step: Step) -> Iterator[AuditEntry]:
    if step.objection and isinstance(given, Decided) and given.by:
        yield _by_host(given, given.by, "failed", step.objection.code)


def _of_events(step: Step, start: str) -> Iterator[AuditEntry]:
    for event in step.events:
        match event:
            case events.SiteSeen(state="joined", site=site):
                who = {"object_type": "site", "object_id": named(site), "peer": named(site)}
                yield AuditEntry(action_code="joined", role="coordinator", **who)
            case events.RoundOpened(round=number):
                yield _of_round("round_opened", number, start)
            case events.RoundClosed(round=number, reason=reason):
                yield _of_round("round_closed", number, start, reason)
            case events.FederationPaused(round=number, reason=reason) if reason != "host":  # that is told already
                yield _of_round("paused", number, "", reason)
            case events.FederationFinished(round=number, adapter=adapter):
                yield _of_round("finished", number, adapter)


def _of_round(action: Action, number: int, adapter: str, reason: str = "") -> AuditEntry:
    """The open round, with the adapter that it starts from; where the federation has finished, the last."""
    about = {"object_type": "round", "object_id": f"{number}", "object_hash": adapter, "round": number}
    return AuditEntry(action_code=action, role="coordinator", after=state_word(reason), **about)


def _accepted(given: UpdateArrived, heads: Mapping[str, str], stage: Stage) -> AuditEntry:
    about = _about_update(given.site, given.update.round, given.update.sha256)
    head = heads.get(given.site, "")
    return AuditEntry(action_code="update_accepted", stage=stage, role="coordinator", peer_head=head, **about)


def _published(given: RoundCombined, stage: Stage) -> AuditEntry:
    about = {"object_type": "adapter", "object_hash": given.adapter, "round": given.round}
    return AuditEntry(action_code="adapter_published", stage=stage, role="coordinator", **about)


def _about_update(site: str, round_number: int, sha256: str) -> dict[str, object]:
    return {"object_type": "update", "object_hash": sha256, "round": round_number, "peer": named(site)}
