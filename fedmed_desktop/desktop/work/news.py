# SPDX-License-Identifier: Apache-2.0
"""News from other threads for the screen: the events of the work, and a few facts that only a desktop has."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ...clinical.reading import Reading
from ...clinical.tasks import Prediction
from ...errors import UserFacingError
from ...events import Event
from ...federation.fitted import Outcome
from ...scores import TaskName
from ...storage.outbox import Record
from ...wording import sentence, tr, written

SessionKind = Literal["site", "demo"]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class SessionStarted:
    """The work of a site, or of a whole demonstration, begins; `site` is the operator's own, `sites` all on this one.
    `notes` is the operator's notes folder, `model` the base model's, `final` where the final adapter will lie.
    `longer`: a demonstration that trains longer than usual.
    """

    kind: SessionKind
    site: str
    address: str
    sites: tuple[str, ...]
    notes: Path
    model: Path
    final: Path | None = None
    types_map: Path | None = None
    longer: bool = False


@dataclass(frozen=True)
class SessionEnded:
    """End of a session: finished, closed by the person, or given up because of a problem that is told beside this."""

    reason: Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Paused:
    """The person paused the computing, or let it go on: also while a phase is on that needs none."""

    value: bool


@dataclass(frozen=True)
class Measured:
    """Measurements of an earlier start of the program, in order: for the charts only."""

    events: tuple[Event, ...]


@dataclass(frozen=True)
class Problem:
    """Something that a person must be told once. `details` is for a developer: a traceback, or "". `fatal`: the session
    cannot go on.
    """

    code: str
    params: dict[str, str | int | float] = field(default_factory=dict)
    details: str = ""
    fatal: bool = False
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def sentence(self) -> str:
        return sentence(self.code, self.params)

    @classmethod
    def of(cls, error: BaseException, details: str, *, fatal: bool) -> Problem:
        """A user's mistake by its own sentence, anything else as a fault of the program with its traceback."""
        if isinstance(error, UserFacingError):
            return cls(error.code, dict(error.params), "", fatal)
        return cls("desktop.fault", {"kind": type(error).__name__}, details, fatal)


Side = Literal["left", "right"]


@dataclass(frozen=True)
class Answered:
    """A model's answer to a task other than entities. `likelihoods`: of a question's options, nats per token;
    `descriptions`: of the codes that were ranked.
    """

    task: TaskName
    prediction: Prediction
    likelihoods: tuple[float, ...] = ()
    descriptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadingShown:
    """Try it: how far one side has come; `state` waiting means that the training thread is busy with something else.
    `sentence` says why it failed.
    """

    side: Side
    state: Literal["waiting", "loading", "reading", "done", "stopped", "failed"]
    reading: Reading | None = None
    sentence: str = ""
    answered: Answered | None = None


@dataclass(frozen=True)
class EvaluatedRow:
    """One measure of an evaluation, of the base model and, where there is one, of the adapter; `difference` between
    them, and whether it is beyond chance. Intervals are of 95 %; `support`: what the notes have of it.
    """

    task: TaskName
    measure: Literal["strict", "lenient", "unified", "mean"]
    name: str
    value: float
    interval: tuple[float, float] | None
    support: int
    adapted: float | None = None
    adapted_interval: tuple[float, float] | None = None
    difference: float | None = None
    is_clear: bool = False


@dataclass(frozen=True)
class EvaluationShown:
    """Progress of an evaluation of notes: `done` of `total` answers; `sentence` says why it failed. `adapter` is the
    name of the one beside the base, "" for none; `source`: where the notes are.
    """

    state: Literal["waiting", "loading", "running", "done", "stopped", "failed"]
    done: int = 0
    total: int = 0
    rows: tuple[EvaluatedRow, ...] = ()
    notes: int = 0
    documents: int = 0
    sentence: str = ""
    adapter: str = ""
    source: Path | None = None

    @property
    def runs(self) -> bool:
        return self.state in ("waiting", "loading", "running")


@dataclass(frozen=True)
class FittingShown:
    """Progress of a fitting of the common model to this site's notes: `done` of `total` steps of its training, or of
    what is scored then; `outcome` of one that is done, also at an earlier start. `sentence` says why it failed.
    """

    state: Literal["waiting", "loading", "training", "scoring", "done", "stopped", "failed"]
    done: int = 0
    total: int = 0
    outcome: Outcome | None = None
    sentence: str = ""

    @property
    def runs(self) -> bool:
        return self.state in ("waiting", "loading", "training", "scoring")


@dataclass(frozen=True)
class AgreementAsked:
    """Tells whether this site waits for the person to agree to what its federation is; it trains nothing until then."""

    value: bool


@dataclass(frozen=True)
class KeptAwake:
    """Tells whether the system was asked not to sleep, and agreed."""

    state: Literal["off", "on", "refused"]

    @property
    def sentence(self) -> str:
        match self.state:
            case "on":
                return tr("This computer stays awake while it trains.")
            case "refused":
                return tr(
                    "This computer could not be kept awake: its system offers no way to ask for that. Set it so that "
                    "it does not sleep by itself."
                )
        return ""


@dataclass(frozen=True)
class Load:
    """Load of the GPU or the processor, in [0, 1] (None: not told), and bytes of its memory, of all programs."""

    kind: Literal["gpu", "processor"]
    share: float | None
    used: int
    total: int

    @property
    def words(self) -> str:
        """Load in words, such as "GPU 61%, 9.8 of 24.0 GB"."""
        used, total = (written(size / 1e9, ",.1f") for size in (self.used, self.total))
        memory = tr("{used} of {total} GB").format(used=used, total=total)
        if self.share is None:
            return memory
        said = tr("GPU {share}, {memory}") if self.kind == "gpu" else tr("Processor {share}, {memory}")
        return said.format(share=written(self.share, ".0%"), memory=memory)


@dataclass(frozen=True)
class DemoScored:
    """A demonstration's outcome, strict F1 on test notes: task -> row name -> column (all sites, each) -> score. The
    first row is the model before the federation, the last the federation's. `notes`: test notes of all sites; 0: not
    known.
    """

    rows: dict[TaskName, dict[str, dict[str, float]]]
    report: Path
    seconds: float
    notes: int = 0


# What the desk takes in and nobody else needs to hear of.
FOLDED: Final = (
    Record, Measured, ReadingShown, EvaluationShown, FittingShown, DemoScored, SessionStarted, Paused, AgreementAsked,
    KeptAwake, Load,
)  # fmt: skip

Item = (
    Event
    | Record
    | SessionStarted
    | SessionEnded
    | Paused
    | AgreementAsked
    | Measured
    | Problem
    | ReadingShown
    | EvaluationShown
    | FittingShown
    | DemoScored
    | KeptAwake
    | Load
)
