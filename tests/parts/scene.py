# SPDX-License-Identifier: Apache-2.0
"""A federation of five sites as one of them, Lakeview, sees it: what it is told, and its own record on a real outbox.

All names, notes and numbers are invented. The time is always NOW, so that pictures of it are the same every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np

from fedmed_desktop import events
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Item, SessionStarted
from fedmed_desktop.federation import LocalResult, Part, Plan, Report, TrainingSettings, Update
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.evidence import Evidence, MaskedAmong, ModuleChange
from fedmed_desktop.federation.methods import AnyMethod, FedMedLora
from fedmed_desktop.federation.methods.method import HistogramOf
from fedmed_desktop.federation.objectives import Objective
from fedmed_desktop.federation.plan import Masking, References
from fedmed_desktop.federation.probes import Membership, Probes, RareStrings, Recall
from fedmed_desktop.federation.spec import (
    BaseModelSpec,
    FederationSpec,
    LoraSettings,
    RoundSettings,
    SharedNote,
    ShareSettings,
)
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.scores import Counts, Mean, Scores, TaskScores
from fedmed_desktop.site import Record
from fedmed_desktop.standing import ClosedRound, FederationPhase, SiteWord
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox

NOW: Final = datetime(2026, 5, 4, 9, 48, tzinfo=UTC)
OPENED, CLOSES = NOW - timedelta(minutes=34), NOW + timedelta(minutes=72)
ADDRESS: Final = "ws://127.0.0.1:8765"
SITE, OPERATOR = "Lakeview", "r.okafor"
STEPS, ROUND = 1240, 3
ADAPTER_BYTES: Final = 20_214_000
DELAY: Final = timedelta(seconds=10)
REASON: Final = "Better on all three types; two notes checked by hand."
NOTES, MODEL = Path("/srv/lakeview/notes"), Path("/srv/models/clinical-1b")
# Strict F1 on Lakeview's validation notes, before and after the training of each round.
F1: Final[dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]]] = {
    1: ((0.21, 0.17, 0.12), (0.52, 0.45, 0.38)),
    2: ((0.54, 0.47, 0.41), (0.64, 0.57, 0.50)),
    3: ((0.61, 0.55, 0.48), (0.74, 0.66, 0.57)),
    4: ((0.70, 0.62, 0.55), (0.77, 0.69, 0.61)),
}
LOSS: Final = {1: (2.31, 1.62), 2: (1.58, 1.40), 3: (1.42, 1.07), 4: (1.10, 0.94)}
_KINDS: Final = {"drug": 412, "problem": 655, "test": 238}


def scores(f1: tuple[float, float, float]) -> Scores:
    """Counts with these F1 scores for drug, problem and test, to two decimals."""

    def counts(each: float, of: int) -> Counts:
        right = round(each * of)
        return Counts(tp=right, fp=of - right, fn=of - right)

    strict = {name: counts(each, of) for (name, of), each in zip(_KINDS.items(), f1, strict=True)}
    lenient = {name: counts(min(1.0, each + 0.07), of) for (name, of), each in zip(_KINDS.items(), f1, strict=True)}
    entities = TaskScores(strict=strict, lenient=lenient, unified=sum(strict.values(), Counts()))
    if not _tasks.several:
        return Scores.of_entities(entities)
    modifiers = {"dosage": counts(0.8 * f1[0], 310), "route": counts(0.6 * f1[1], 120)}
    codes = TaskScores(
        strict={"code": counts(0.5 * f1[2], 240)},
        means={name: Mean(sum=round(40 * f1[2] * share, 3), of=40) for name, share in _RANKED.items()},
    )
    rouge = {f"rouge_{kind}": Mean(sum=round(40 * f1[1] * share, 3), of=40) for kind, share in _ROUGE.items()}
    return Scores(
        tasks={
            "entities": entities,
            "relations": TaskScores(strict=modifiers, lenient=modifiers),
            "codes": codes,
            "summaries": TaskScores(means=rouge),
        }
    )


class _Tasks:
    several = False


_tasks = _Tasks()
_RANKED: Final = {"recall@1 code": 0.4, "recall@10 code": 0.7, "recall@10 category": 0.9, "MAP code": 0.5}
_ROUGE: Final = {"1": 0.7, "2": 0.4, "l": 0.6}


@contextmanager
def several_tasks() -> Iterator[None]:
    """What is scored inside are entities, modifiers, codes and summaries."""
    _tasks.several = True
    try:
        yield
    finally:
        _tasks.several = False


SPECIALTIES: Final = {
    "Cardiology": 612, "Dermatology": 3, "Gastroenterology": 301, "General medicine": 704, "Neurology": 188,
    "Oncology": 97, "Orthopaedics": 244, "Urology": 161,
}  # fmt: skip
FEDERATION: Final = {
    "Cardiology": 0.18, "Dermatology": 0.06, "Gastroenterology": 0.14, "General medicine": 0.24, "Neurology": 0.11,
    "Oncology": 0.1, "Orthopaedics": 0.08, "Paediatrics": 0.03, "Urology": 0.06,
}  # fmt: skip


def spec(method: AnyMethod | None = None, histogram: HistogramOf = "none") -> FederationSpec:
    modules = {
        f"model.layers.{layer}.{name}": (1536, 1536)
        for layer in range(28)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    return FederationSpec(
        name="Riverside federation", types=("drug", "problem", "test"), rounds=10,
        base=BaseModelSpec(fingerprint=_hash("base"), initial=_hash("initial"), modules=modules),
        lora=LoraSettings(rank=16, alpha=64), training=TrainingSettings(steps=STEPS),
        round=RoundSettings(sites=5, quorum=4), method=method or FedMedLora(), share=ShareSettings(histogram=histogram),
        shared_notes=(SharedNote(text="A note that everybody may read."),),
    )  # fmt: skip


def _module_sizes(of: FederationSpec) -> dict[str, float]:
    """How much each module moves: the upper layers most, values more than queries, and a little by chance."""
    chance = np.random.default_rng(5).uniform(0.8, 1.25, len(of.base.modules))
    kinds = {"q_proj": 0.6, "k_proj": 0.5, "v_proj": 1.2, "o_proj": 1.0, "gate_proj": 0.7, "up_proj": 0.9}
    return {
        name: float(0.02 * kinds.get(name.rpartition(".")[2], 1.1) * np.exp(0.09 * int(name.split(".")[2])) * by)
        for name, by in zip(of.base.modules, chance, strict=True)
    }


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _blob(number: int) -> tuple[bytes, str]:
    """Stands in for a round's adapter, of which nobody here reads more than its size: some bytes and their sha256."""
    blob = number.to_bytes(8, "big")
    return blob, hashlib.sha256(blob).hexdigest()


# -- what the coordinator and the training tell ------------------------------------------------------------------------

JOINED = events.Joined(
    time=NOW, site=SITE, federation="Riverside federation", environment="test", method="fed_medlora", rounds=10,
    sites=5, types=("drug", "problem", "test"),
)  # fmt: skip
PREPARED = events.Prepared(
    time=NOW, site=SITE, notes=2310, entities={"drug": 4120, "problem": 6554, "test": 2377}, ignored={}, dropped=12,
    device="NVIDIA GPU with 24 GB, in 16-bit numbers", threads=8,
)  # fmt: skip


def identity(waits: bool = False) -> events.IdentityShown:
    return events.IdentityShown(
        time=NOW, site=SITE, phrase="amber-otter-candle-river-jacket-moon", site_fingerprint=_hash("site"),
        coordinator_fingerprint=_hash("coordinator"), waits=waits,
    )  # fmt: skip


def connection(state: str, code: str | None = None, retry: float | None = None) -> events.ConnectionChanged:
    values = {"time": NOW, "site": SITE, "state": state, "address": ADDRESS, "code": code, "retry_seconds": retry}
    return events.ConnectionChanged.model_validate(values | {"params": {"address": ADDRESS} if code else {}})


def phase(name: events.Phase, number: int = ROUND, site: str = SITE) -> events.PhaseChanged:
    return events.PhaseChanged(time=NOW, site=site, round=number, phase=name)


def closed(number: int) -> ClosedRound:
    """A round that five sites sent to: their pooled scores lie a little below Lakeview's own."""
    before, after = F1[number]
    drop = 0.03
    return ClosedRound(
        round=number, closed=OPENED - timedelta(hours=26 * (ROUND - number)), sent=5,
        scores_before=scores((before[0] - drop, before[1] - drop, before[2] - drop)),
        scores_after=scores((after[0] - drop, after[1] - drop, after[2] - drop)),
        residual=0.11, weight=0.23, model_drift=0.42 - 0.1 * number, performance_drift=0.62 - 0.12 * number,
        rank=16, other_ranks=(8, 16, 16, 32),
    )  # fmt: skip


def standing(
    phase: FederationPhase = "open",
    number: int = ROUND,
    sites: Mapping[SiteWord, int] | None = None,
    connected: int = 5,
    attempt: int = 1,
) -> events.StandingChanged:
    usual: dict[SiteWord, int] = {"sent": 2, "training": 2, "approval": 1}
    return events.StandingChanged(
        time=NOW, site=SITE, round=number, rounds=10, attempt=attempt, phase=phase,
        opened=None if phase == "gathering" else OPENED, closes=CLOSES if phase in ("open", "evaluating") else None,
        sites=usual if sites is None else dict(sites), connected=connected,
        history=tuple(closed(n) for n in range(1, min(number, 4))),
    )  # fmt: skip


def steps(number: int = ROUND, first: int = 1, last: int = STEPS, site: str = SITE) -> Iterator[events.TrainingStep]:
    """Training steps of a round, half a second each, the last one just now; the loss falls over three rounds."""
    noise = np.random.default_rng(number).normal(0, 0.16, STEPS + 1)
    began = NOW - timedelta(seconds=0.55 * last) - timedelta(hours=26 * (ROUND - number))
    for step in range(first, last + 1):
        way = (number - 1) + step / STEPS
        yield events.TrainingStep(
            time=began + timedelta(seconds=0.55 * step), site=site, round=number, step=step, steps=STEPS,
            loss=max(0.05, float(0.72 + 1.9 * np.exp(-1.3 * way) + noise[step])),
            learning_rate=2e-4 * (1 - step / (STEPS + 1)), tokens_per_second=3412.0 + 60 * float(noise[step]),
            memory_mib=9345.0,
        )  # fmt: skip


def evaluated(number: int, moment: Literal["before", "after"]) -> events.Evaluated:
    at = 0 if moment == "before" else 1
    time = NOW - timedelta(hours=26 * (ROUND - number)) + timedelta(seconds=(at - 1) * 0.55 * STEPS)
    return events.Evaluated(
        time=time, site=SITE, round=number, moment=moment, loss=LOSS[number][at], scores=scores(F1[number][at])
    )


def generating(done: int, total: int = 330, site: str = SITE) -> events.GenerationProgress:
    return events.GenerationProgress(time=NOW, site=site, round=ROUND, done=done, total=total)


def transfer(direction: Literal["up", "down"], done: int, number: int = ROUND) -> events.TransferProgress:
    return events.TransferProgress(
        time=NOW, site=SITE, round=number, direction=direction, blob=_hash(f"{direction} {number}"), bytes=done,
        total=ADAPTER_BYTES,
    )  # fmt: skip


def course(last: int = 812) -> Iterator[events.Event]:
    """All that Lakeview measured: two whole rounds, and the third up to its step `last`."""
    for number in range(1, ROUND + 1):
        yield transfer("down", ADAPTER_BYTES, number)
        yield evaluated(number, "before")
        yield from steps(number, last=last if number == ROUND else STEPS)
        if number < ROUND:
            yield evaluated(number, "after")


PROBES = Probes(
    membership=Membership(auc=0.53, low=0.49, high=0.57, hits=0.02, trained=240, held_out=240),
    recall=Recall(beyond=4, usual=5, longest=12, share=0.0, low=0.0, high=0.019, trained=200, held_out=200),
    rare=RareStrings(strings=38, ratio=2.1, made_up=1.9, relative=1.1, low=0.9, high=1.4, largest=6.2),
    missing={"canaries": "off"}, seconds=61.2,
)  # fmt: skip
REVEALING = PROBES.model_copy(
    update={
        "membership": Membership(auc=0.88, low=0.84, high=0.92, hits=0.31, trained=240, held_out=240),
        "recall": Recall(beyond=31, usual=6, longest=40, share=0.12, low=0.08, high=0.17, trained=200, held_out=200),
        "rare": RareStrings(strings=38, ratio=9.1, made_up=1.9, relative=4.8, low=3.1, high=7.4, largest=310.0),
    }
)


# -- the site's own record ---------------------------------------------------------------------------------------------


class Lakeview:
    """The site's outbox on disk, and the desk as it stands after all that was told and done."""

    def __init__(
        self,
        folder: Path,
        *,
        earlier: int = 2,
        method: AnyMethod | None = None,
        term: Objective | None = None,
        histogram: HistogramOf = "none",
    ) -> None:
        """`earlier` rounds are over, Lakeview's adapters sent. Each site has a folder of its own in `folder`.

        `method` and what it adds to every plan; `histogram`: what the federation lets sites count and share.
        """
        self.spec, self._objective = spec(method, histogram), (term,) if term else ()
        own = folder / str(len(list(folder.iterdir())))
        own.mkdir()
        self.outbox = Outbox(own / "site.sqlite", BlobStore(own / "blobs"))
        self.final: str | None = None
        self.desk = Desk()
        self.tell(SessionStarted("site", SITE, ADDRESS, (SITE,), NOTES, MODEL), connection("connected"))
        for number in range(1, earlier + 1):
            then = NOW - timedelta(hours=26 * (ROUND - number))
            entry = self.trained(number, ask=False, now=then)
            self.approve(entry, then, "All types improved." if number == 1 else REASON)
            self.release(entry, then + DELAY)
            self.receive(entry, then + 3 * DELAY)
        self.refresh()
        self.tell(JOINED, PREPARED)
        if earlier:
            self.tell(standing())

    def tell(self, *items: Item) -> Lakeview:
        self.desk.fold(items)
        return self

    def refresh(self) -> Lakeview:
        decisions = self.outbox.decisions()
        return self.tell(Record(self.spec, tuple(self.outbox.entries()), decisions, self.final))

    def close(self) -> Desk:
        self.outbox.close()
        return self.desk

    def trained(
        self,
        number: int = ROUND,
        *,
        ask: bool = True,
        now: datetime = NOW,
        norm: float = 1.0,
        worse: bool = False,
        masked: MaskedAmong | None = None,
        probes: Probes = PROBES,
    ) -> Entry:
        """A training's update lies in the outbox; `norm` times as large as usual."""
        plan = self._plan(number, "train")
        if masked:
            plan = plan.model_copy(update={"masking": Masking(clip=0.5, largest_weight=200_000, threshold=0.5)})
        made = {name: _blob(number + 100 * (name != "adapter")) for name in plan.parts}
        before, after = (scores(f1) for f1 in F1[number])
        if worse:
            before, after = after, before
        counted = {} if self.spec.share.histogram == "none" else SPECIALTIES
        update = Update(
            round=number,
            parts={name: Part(sha256=sha256, size=ADAPTER_BYTES) for name, (_, sha256) in made.items()},
            report=Report(
                notes=2310, supervised_tokens=148_230, steps=STEPS, train_loss=1.21, loss_before=LOSS[number][0],
                loss_after=LOSS[number][1], scores_before=before, scores_after=after, start_norm=3.12,
                update_norm=norm * (0.82 + 0.03 * number), effective_rank=11.4, seconds=2460.0 + 90 * number,
                histogram=counted, shared_loss=1.31 if counted else None,
            ),
        )  # fmt: skip
        drift = None if number == 1 else 0.22
        moved = {
            name: ModuleChange(norm=norm * size * (0.9 + 0.1 * number), rank=16)
            for name, size in _module_sizes(self.spec).items()
        }
        evidence = Evidence(
            rank=16, model_drift=drift, performance_drift=drift and drift + 0.09,
            semantic_drift=drift and 0.05 * number if counted else None, scores_before=before, scores_after=after,
            validation_notes=330, masked=masked, probes=probes, modules=moved,
        )  # fmt: skip
        blobs = {name: blob for name, (blob, _) in made.items()}
        return self._put(plan, LocalResult(update, blobs, evidence), ask, now)

    def scored(self, *, ask: bool = True) -> Entry:
        """The report after the last round, without a blob."""
        after = scores(F1[4][1])
        report = Report(kind="evaluate", notes=330, supervised_tokens=21_480, loss_after=0.91, scores_after=after)
        update = Update(round=10, parts={}, report=report)
        result = LocalResult(update, {}, Evidence(rank=16, scores_after=after))
        return self._put(self._plan(10, "evaluate"), result, ask, NOW)

    def _plan(self, number: int, kind: Literal["train", "evaluate"]) -> Plan:
        counted = number > 1 and self.spec.share.histogram != "none"
        return Plan(
            kind=kind, round=number, start=_hash(f"global {number}"), rank=16, training=TrainingSettings(steps=STEPS),
            objective=self._objective, seed=number,
            references=References(median_update_norm=0.9, loss=1.4, histogram=FEDERATION) if counted else None,
        )  # fmt: skip

    def _put(self, plan: Plan, result: LocalResult, ask: bool, now: datetime) -> Entry:
        number = plan.round
        entry = self.outbox.put(plan, result, now)
        self.refresh()
        if ask:
            pending = events.UpdatePending(
                time=now, site=SITE, round=number, update=entry.sha256, bytes=entry.update.size
            )
            self.tell(phase("approval", number), pending)
        return entry

    def approve(self, entry: Entry, now: datetime = NOW, reason: str = REASON) -> None:
        self.outbox.decide(do.Record(entry.sha256, "approved", OPERATOR, reason, DELAY), now)
        self.refresh()

    def release(self, entry: Entry, now: datetime = NOW + DELAY) -> None:
        self.outbox.decide(do.Record(entry.sha256, "released", "agent"), now)
        self.refresh().tell(phase("uploading", entry.plan.round))

    def receive(self, entry: Entry, now: datetime = NOW + 2 * DELAY) -> None:
        self.outbox.decide(do.Record(entry.sha256, "acknowledged", "coordinator"), now)
        receipt = events.ReceiptReceived(time=now, site=SITE, round=entry.plan.round, update=entry.sha256)
        self.refresh().tell(receipt, phase("sent", entry.plan.round))

    def keep(self, entry: Entry) -> None:
        reason = "Our notes of April were labelled anew; next round."
        self.outbox.decide(do.Record(entry.sha256, "kept", OPERATOR, reason), NOW)
        self.refresh().tell(phase("kept"))

    def expire(self, entry: Entry) -> None:
        self.outbox.decide(do.Record(entry.sha256, "expired", "agent", "round closed"), NOW)
        self.refresh().tell(phase("missed"))

    def refuse(self, entry: Entry) -> None:
        code = "update.wrong_norm"
        self.outbox.decide(do.Record(entry.sha256, "refused", "coordinator", code, code=code), NOW)
        refused = events.UpdateRefused(
            time=NOW, site=SITE, round=entry.plan.round, update=entry.sha256, code="update.wrong_norm",
            params={"found": "2.41", "reported": "0.91"},
        )  # fmt: skip
        self.refresh().tell(refused)

    def finish(self) -> None:
        """The last round is over, and the final adapter lies here."""
        self.final = _hash("final")
        self.desk.fold([replace(self.desk.record, final=self.final)])
