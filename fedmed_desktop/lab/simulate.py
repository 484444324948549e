# SPDX-License-Identifier: Apache-2.0
"""A federation in simulated time: the product's rounds, methods, aggregation and training without sockets.

Connections, approvals and databases are left out. Updates are encoded, stored as blobs, checked and read back as at the
coordinator, so byte counts are those of a real federation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ..errors import UserFacingError
from ..federation import FederationSpec, Given, LocalResult, Plan
from ..federation.accounting import Budget, SpendingInMemory, Steps, epsilon
from ..federation.actions import Combine, Reject
from ..federation.check import check_adapter
from ..federation.client_privacy import noise_of_round
from ..federation.inputs import SiteJoined, UpdateArrived
from ..federation.noised import Noise
from ..federation.record import RoundRecord
from ..federation.rounds import Rounds
from ..lora import Adapter
from ..lora.blob import BlobReader
from ..lora.half import open_update
from ..lora.module import rank_in
from ..storage import BlobStore
from ..storage.adapters import combine_stored
from ..storage.results import SiteRow
from .by_task import site_scores
from .engines import SPLITS, Engine, Measured, SiteJob, Split
from .partition import LabSite

# The rounds need the time; in the lab no site is ever late.
_NOW: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """Measurements of the federation's model after a round (0: before the first) on one split of the judges' notes.

    `traffic` is the number of bytes that sites have sent and fetched so far. `record` is None for round 0.
    """

    round: int
    split: Split
    measured: Mapping[str, Measured]
    record: RoundRecord | None
    adapter: str | None
    traffic: int
    sites: tuple[SiteRow, ...]


@dataclass
class _Traffic:
    up: dict[str, int] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)


class Simulation:
    """A federation of these sites that starts with this adapter.

    Models are measured on the notes of `judges` (default: the sites); the engine must be open for both. `steps`: per
    round, of sites that do not follow the plan. `splits`: those that the last model is measured on. Adapters are stored
    in `blobs`; those of finished rounds are deleted.
    """

    def __init__(
        self,
        spec: FederationSpec,
        initial: Adapter,
        sites: Sequence[LabSite],
        engine: Engine,
        blobs: BlobStore,
        judges: Sequence[LabSite] | None = None,
        steps: Mapping[str, int] | None = None,
        splits: Sequence[Split] = SPLITS,
    ) -> None:
        self.spec, self._engine, self._blobs = spec, engine, blobs
        self._sites = {site.name: site for site in sites}
        self._judges = {site.name: site for site in judges or sites}
        self._steps = steps or {}
        self._splits = splits
        self._rounds = Rounds(spec)
        self._own: dict[str, dict[str, Adapter]] = {}
        self._spent: dict[str, tuple[Steps, ...]] = {}
        self._held: dict[str, set[str]] = {site: set() for site in self._sites}
        self._released: list[Steps] = []
        self._total = 0
        self._traffic = _Traffic()
        blobs.write(initial.to_blob())

    def run(self) -> Iterator[Snapshot]:
        """The model before training and after each round on validation notes, then the last one on test notes.

        Raises UserFacingError if the federation cannot go on, as the product would.
        """
        state = self._rounds.state
        self._join()
        while state.phase == "open":
            before, total, self._traffic = self._traffic, self._total, _Traffic()
            given = {site: self._given(site, plan) for site, plan in state.plans.items()}
            jobs = [SiteJob(site, self._limited(site, plan), given[site]) for site, plan in state.plans.items()]
            results = dict(zip(state.plans, self._engine.train(jobs), strict=True))
            yield self._snapshot("validation", self._before(results), before, total)
            self._take(results)
            self._combine()
        for site, plan in state.plans.items():
            self._fetch(site, plan)
        yield from self._standing()

    def untrained(self) -> Iterator[Snapshot]:
        """The first adapter, which changes nothing about the base, on validation and on test notes."""
        self._join()
        yield from self._standing()

    def measure(self, split: Split, judges: Sequence[LabSite]) -> dict[str, Measured]:
        """Measurements of the current model on the notes of these sites, if they have any in this split."""
        state = self._rounds.state
        some = next(iter(state.plans.values()))
        start = self._adapter(state.start)
        frozen = self._adapter(state.frozen) if state.frozen else None
        changes = {"kind": "evaluate", "rank": max(start.ranks.values()), "start": state.start, "frozen": state.frozen}
        plan = some.model_copy(update=changes)
        there = [site.name for site in judges if split == "validation" or site.notes.test]
        jobs = [SiteJob(site, plan, Given(start, frozen, own=self._own.get(site, {}))) for site in there]
        return dict(zip(there, self._engine.measure(jobs, split), strict=True))

    def last(self) -> tuple[Plan, Adapter, Adapter | None]:
        """Some site's plan, and the current adapter with what is frozen beside it."""
        state = self._rounds.state
        frozen = self._adapter(state.frozen) if state.frozen else None
        return next(iter(state.plans.values())), self._adapter(state.start), frozen

    @property
    def personal(self) -> bool:
        """True where sites keep factors or adapters of their own, with which the common one is used."""
        return any(plan.own or plan.orthogonal for plan in self._rounds.state.plans.values())

    def _join(self) -> None:
        for site in self._sites.values():
            if code := self._rounds.join_refusal(site.rank_cap):
                raise UserFacingError(code, rank=self.spec.lora.rank, cap=site.rank_cap or 0)
            self._rounds.handle(SiteJoined(site=site.name, rank_cap=site.rank_cap), _NOW)

    # -- what sites do -----------------------------------------------------------------------------------------------

    def _given(self, site: str, plan: Plan) -> Given:
        self._fetch(site, plan)
        control = plan.variate.control if plan.variate else None
        return Given(
            start=self._adapter(plan.start),
            frozen=self._adapter(plan.frozen) if plan.frozen else None,
            control=self._adapter(control) if control else None,
            own=self._own.get(site, {}),
            budget=self._budget(site, plan),
        )

    def _budget(self, site: str, plan: Plan) -> Budget | None:
        """The site's privacy budget, of which it may spend a copy elsewhere."""
        if (settings := plan.training.privacy) is None:
            return None
        ledger = SpendingInMemory(list(self._spent.get(site, ())))
        return Budget(settings, ledger, later=self.spec.rounds - plan.round)

    def _fetch(self, site: str, plan: Plan) -> None:
        """Counts the bytes of those plan's blobs that the site does not have yet; it keeps them, as in the product."""
        held = self._held[site]
        way = plan.way_to(held.__contains__) if plan.start not in held else ()
        sizes = {one.adapter: one.size for one in way}
        for sha256 in (*sizes, *plan.blobs):
            if sha256 not in held:
                held.add(sha256)
                size = sizes[sha256] if sha256 in sizes else self._blobs.size(sha256)
                self._traffic.down[site] = self._traffic.down.get(site, 0) + size
                self._total += size

    def _adapter(self, sha256: str) -> Adapter:
        return Adapter.from_blob(self._blobs.read(sha256))

    def _limited(self, site: str, plan: Plan) -> Plan:
        """The plan, with this site's own number of steps if it has one."""
        if site not in self._steps:
            return plan
        training = plan.training.model_copy(update={"steps": self._steps[site], "epochs": None})
        return plan.model_copy(update={"training": training})

    def _take(self, results: Mapping[str, LocalResult]) -> None:
        """Stores, checks and counts every update, as the coordinator does."""
        plans = dict(self._rounds.state.plans)
        for site, result in results.items():
            update = result.update
            for name, blob in result.blobs.items():
                if self._blobs.write(blob) != update.parts[name].sha256:
                    raise UserFacingError("update.wrong_parts")
            self._check(plans[site], update.parts["adapter"].sha256)
            self._traffic.up[site] = update.size
            self._total += update.size
            self._own.setdefault(site, {}).update(result.own)
            self._spent[site] = result.spent
            step = self._rounds.handle(UpdateArrived(site=site, update=update), _NOW)
            for action in step.actions:
                if isinstance(action, Reject):
                    raise UserFacingError(action.code, site=site)

    def _check(self, plan: Plan, sha256: str) -> None:
        with (
            BlobReader(self._blobs.path(plan.start)) as start,
            open_update(self._blobs.path(sha256), plan.shared, start, packing=plan.packing) as adapter,
        ):
            check_adapter(adapter, self.spec, plan)

    def _combine(self) -> None:
        due = self._rounds.due()
        assert due is not None  # all that were asked have answered, and a lab's quorum is one
        noise = self._noise if self.spec.client_privacy else None
        self._rounds.handle(combine_stored(due, self.spec, self._blobs, noise), _NOW)
        state = self._rounds.state
        over = {part.sha256 for update in due.updates.values() for part in update.parts.values()}
        over |= {sha256 for sha256 in (due.start, due.frozen, due.control, due.lost) if sha256}
        over |= {one.sha256 for one in state.differences[-1:]}  # only its size counts here
        over |= {sha256 for past in state.history for sha256 in past.cuts.values()}
        for sha256 in over - {state.start, state.frozen, state.control, state.lost, *state.cuts.values()}:
            self._blobs.delete(sha256)

    def _noise(self, due: Combine) -> Noise:
        """Noise that hides whole sites, from the cell's seed: nothing is made public, and it can be repeated."""
        settings = self.spec.client_privacy
        assert settings is not None
        multiplier = noise_of_round(self.spec, due.round, self._released)
        self._released.append(Steps(1.0, multiplier))
        key = hashlib.sha256(f"client privacy {self.spec.site_seed('', due.round)}".encode()).digest()
        return Noise(multiplier, key, epsilon(self._released, settings.delta))

    # -- what the model is worth -------------------------------------------------------------------------------------

    def _before(self, results: Mapping[str, LocalResult]) -> dict[str, Measured]:
        """Measurements before the round on validation notes, as the sites made them on this very model.

        All are measured again if some judges do not take part, or train at a rank that cuts the model.
        """
        state = self._rounds.state
        ranks = self._adapter(state.start).ranks
        whole = all(rank_in(plan.by_module, name) >= ranks[name] for plan in state.plans.values() for name in ranks)
        told = results.keys() == self._judges.keys() and whole
        if not told:
            return self.measure("validation", list(self._judges.values()))
        measured = {}
        for site, result in results.items():
            report = result.update.report
            tokens = self._engine.size(site).supervised["validation"]
            measured[site] = Measured(report.loss_before or 0.0, result.evidence.scores_before, tokens)
        return measured

    def _standing(self) -> Iterator[Snapshot]:
        for split in self._splits:
            if measured := self.measure(split, list(self._judges.values())):
                yield self._snapshot(split, measured, self._traffic, self._total)

    def _snapshot(self, split: Split, measured: Mapping[str, Measured], traffic: _Traffic, total: int) -> Snapshot:
        state = self._rounds.state
        record = state.history[-1] if state.history else None
        scored = self.spec.score_on == "answers"
        sites = [site_row(self._judges[site], found, record, scored, traffic) for site, found in measured.items()]
        return Snapshot(record.round if record else 0, split, measured, record, state.start, total, tuple(sites))


def site_row(
    site: LabSite, found: Measured, record: RoundRecord | None, scored: bool, traffic: _Traffic | None = None
) -> SiteRow:
    """One site's part of a row; `record` of the round that it took part in, if it did."""
    row = SiteRow(
        site=site.name,
        notes=len(site.notes.train),
        loss=found.loss,
        bytes_up=traffic.up.get(site.name, 0) if traffic else 0,
        bytes_down=traffic.down.get(site.name, 0) if traffic else 0,
    )
    if scored:
        row = row.model_copy(update=site_scores(found.scores))
    part = record.sites.get(site.name) if record else None
    if part is None:
        return row
    drifts = {f"{name}_drift": value for name, value in part.drift}
    own = {"steps": part.update.report.steps, "rank": part.rank, "weight": part.weight}
    return row.model_copy(update=own | drifts)
