# SPDX-License-Identifier: Apache-2.0
"""The five deadlines: when the rounds stop waiting, and for which reason; and which sites show no progress. Pure.

Joining, training and approving end at a time that the ledger alone decides. Downloading and uploading count progress,
which is not in the ledger: a row for every piece of a transfer would be far too many. A `Watch` keeps the last sign of
each site in memory, and what follows from it comes to the rounds with TimePassed, and so into the ledger only where it
closes a round. After a restart every site has its whole time again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ..events import Phase
from ..standing import DeadlineName
from .inputs import TimePassed, Transfer
from .masked import ends as masking_ends
from .masked import quorum
from .record import RoundsState
from .spec import FederationSpec

# A site that should be at work is shown as quiet after this time without a sign. Sites give one a minute. Inferred.
QUIET_AFTER: Final = timedelta(minutes=5)

_TRANSFERS: Final[dict[Phase, Transfer]] = {"downloading": "download", "uploading": "upload"}
# Phases in which nothing has to move: a person decides, it is another's turn, or the site's part is over.
_AT_REST: Final[frozenset[Phase]] = frozenset({"approval", "paused", "waiting", "sent", "kept", "missed", "finished"})


def ends(spec: FederationSpec, state: RoundsState) -> datetime | None:
    """Time when the rounds stop waiting, whatever moves: for sites before round one, then for answers; or None."""
    if state.phase == "gathering":
        return joins_until(spec, state)
    if state.phase not in ("open", "evaluating"):
        return None
    assert state.closes is not None
    # An operator who was asked after the training time does not hold up the round.
    return max([state.closes, *approvals(spec, state).values()])


def joins_until(spec: FederationSpec, state: RoundsState) -> datetime | None:
    """Time when a federation with its quorum stops waiting for further sites; None without a quorum, and later."""
    if state.phase != "gathering" or state.gathering_since is None or len(state.sites) < spec.round.quorum:
        return None
    return state.gathering_since + spec.round.deadlines["join"]


def approvals(spec: FederationSpec, state: RoundsState) -> dict[str, datetime]:
    """Times until which the round waits for the decision of each operator who was asked in time."""
    asked = {site: state.awaiting[site] for site in state.unanswered() if site in state.awaiting}
    closes = state.closes
    return {site: at + spec.round.approval_time for site, at in asked.items() if closes and at <= closes}


def latest(spec: FederationSpec, state: RoundsState) -> datetime | None:
    """Time until which uploads that move may hold up a round; None while none is open."""
    due = ends(spec, state)
    return due + spec.round.training_time if due and state.phase != "gathering" else None


def passed(spec: FederationSpec, state: RoundsState, given: TimePassed, now: datetime) -> DeadlineName | None:
    """The deadline at which the rounds stop waiting now, if there is one."""
    due, until = ends(spec, state), latest(spec, state)
    if due is None or until is None:
        return "join" if due and now >= due else None
    waited_for = set(state.unanswered())
    stalled = {site: transfer for site, transfer in given.stalled.items() if site in waited_for}
    if now < due:
        nobody_else = waited_for == stalled.keys() and len(state.updates) >= quorum(spec, state)
        return ("upload" if "upload" in stalled.values() else "download") if nobody_else else None
    moving = waited_for.intersection(given.moving)
    if moving and now < until:
        return None
    if moving or "upload" in stalled.values():
        return "upload"
    return "approve" if state.closes and due > state.closes else "train"


@dataclass(frozen=True)
class Deadline:
    """One of the five: how long, which sites it runs for now, and when it ends if nothing moves until then."""

    name: DeadlineName
    minutes: float
    sites: tuple[str, ...] = ()
    ends: datetime | None = None


@dataclass(frozen=True)
class _Sign:
    """The last sign of progress that a site has given, in which round and phase."""

    round: int
    phase: Phase | None
    time: datetime


class Watch:
    """Signs of progress of each site. Not thread-safe; `began` is when somebody began to watch."""

    def __init__(self, spec: FederationSpec, began: datetime) -> None:
        self._spec = spec
        self._began = began
        self._signs: dict[str, _Sign] = {}

    def told(self, site: str, round_number: int, phase: Phase, now: datetime) -> None:
        """A site has said its phase. Of a transfer the bytes are the signs, so saying it again is none."""
        before = self._signs.get(site)
        if before and (before.round, before.phase) == (round_number, phase) and phase in _TRANSFERS:
            return
        self._signs[site] = _Sign(round_number, phase, now)

    def moved(self, site: str, round_number: int, transfer: Transfer, now: datetime) -> None:
        """Bytes have gone to a site or come from it."""
        before = self._signs.get(site)
        known = before.phase if before and before.round == round_number else None
        self._signs[site] = _Sign(round_number, known or f"{transfer}ing", now)  # type: ignore[arg-type]

    def quiet(self, state: RoundsState, now: datetime) -> dict[str, datetime]:
        """Sites that should be at work and have given no sign for a while, and since when."""
        since = {site: at for site, at in self._since(state).items() if self._phase(site, state) not in _AT_REST}
        return {site: at for site, at in since.items() if site not in state.awaiting and now - at >= QUIET_AFTER}

    def time_passed(self, state: RoundsState, now: datetime) -> TimePassed:
        """The input that tells the rounds the time, with all that is known of transfers."""
        transfers, left = self._transfers(state), self._left(state)
        return TimePassed(
            moving=tuple(site for site in left if transfers[site] == "upload" and left[site] > now),
            stalled={site: transfers[site] for site in left if left[site] <= now},
        )

    def wake_at(self, state: RoundsState) -> datetime | None:
        """Time when the rounds should next be told the time."""
        times = [at for at in (self._wake_at(state), masking_ends(self._spec, state)) if at]
        return min(times, default=None)

    def _wake_at(self, state: RoundsState) -> datetime | None:
        due, until = ends(self._spec, state), latest(self._spec, state)
        if due is None or until is None:
            return due
        left, transfers = self._left(state), self._transfers(state)
        uploads = [at for site, at in left.items() if transfers[site] == "upload"]
        due = min(until, max([due, *uploads]))
        if left and left.keys() == set(state.unanswered()) and len(state.updates) >= quorum(self._spec, state):
            return min(due, max(left.values()))
        return due

    def deadlines(self, state: RoundsState) -> tuple[Deadline, ...]:
        """All five, in the order in which a round meets them."""
        left, transfers = self._left(state), self._transfers(state)
        runs: dict[DeadlineName, dict[str, datetime]] = {
            "download": {site: at for site, at in left.items() if transfers[site] == "download"},
            "approve": approvals(self._spec, state),
            "upload": {site: at for site, at in left.items() if transfers[site] == "upload"},
        }
        if state.phase in ("open", "evaluating") and state.closes:
            elsewhere = {site for each in runs.values() for site in each}
            runs["train"] = {site: state.closes for site in state.unanswered() if site not in elsewhere}
        found = []
        for name, time in self._spec.round.deadlines.items():
            each = runs.get(name, {})
            end = joins_until(self._spec, state) if name == "join" else max(each.values(), default=None)
            found.append(Deadline(name, time.total_seconds() / 60, tuple(sorted(each)), end))
        return tuple(found)

    def _phase(self, site: str, state: RoundsState) -> Phase | None:
        sign = self._signs.get(site)
        return sign.phase if sign and sign.round == state.round else None

    def _since(self, state: RoundsState) -> dict[str, datetime]:
        """Times when each site that is waited for gave its last sign, or was asked."""
        if state.phase not in ("open", "evaluating") or state.closes is None:
            return {}
        asked = max(self._began, state.closes - self._spec.round.training_time, state.resumed or self._began)
        given = {site: sign.time for site, sign in self._signs.items() if sign.round == state.round}
        return {site: max(asked, given.get(site, asked)) for site in state.unanswered()}

    def _transfers(self, state: RoundsState) -> dict[str, Transfer]:
        phases = {site: self._phase(site, state) for site in state.unanswered()}
        return {site: _TRANSFERS[phase] for site, phase in phases.items() if phase in _TRANSFERS}

    def _left(self, state: RoundsState) -> dict[str, datetime]:
        """Times when transfers of sites that are waited for count as stalled, unless something moves."""
        times, since = self._spec.round.deadlines, self._since(state)
        return {site: since[site] + times[name] for site, name in self._transfers(state).items() if site in since}
