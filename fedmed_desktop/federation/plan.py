# SPDX-License-Identifier: Apache-2.0
"""Plans: what a site is asked to do in a round, as data. The training package turns them into torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from ..bounds import PositiveFloat, PositiveInt, Scalar
from ..lora.algebra import Cut
from ..lora.blocks import Packed
from ..lora.module import Factor, Ranks
from ..lora.quantised import Packing
from .objectives import ControlVariate, Objective, Orthogonal, Proximal
from .values import Frozen, Sha256

FACTORS: Final[tuple[Factor, ...]] = ("A", "B")

Unit = Literal["note", "patient"]

RateSchedule = Literal["round", "federation", "constant"]


class PrivacySettings(Frozen):
    """Differential privacy of each site's training (DP-SGD, arXiv 1607.00133, algorithm 1); guide/epsilon.md.

    At most `epsilon` at `delta` is spent by a site in all rounds together: adapters trained with and without any one
    `unit` are so hard to tell apart. "note": a note, with all rows of its document; "patient": all notes of a patient.
    `clip_norm`: the longest gradient of one unit, in nats per supervised token; 0.5 is inferred.
    """

    epsilon: float = Field(gt=0, le=100, strict=True)
    delta: float = Field(1e-5, gt=0, lt=0.1, strict=True)
    unit: Unit
    clip_norm: PositiveFloat = 0.5


class TrainingSettings(Frozen):
    """Local training. Defaults are those of Fed-MedLoRA's released code (arXiv 2601.22124, conf/) unless marked.

    Exactly one of `epochs` and `steps` is given; both count per round. `clip_norm` false (None) means no clipping. The
    authors' `loss_on` is "all"; the default "answer" is ours. With `privacy`, `batch_size` is the expected number of
    units in a step. Without it the key is not written: plans look as they did before there was one.

    `mention_weight`: how often the tokens count, in the loss that is trained on, with which an answer's mark of a
    mention begins. Averaged models mark too little, above all where sites annotate different types (measured; the
    remedy is inferred). The training loss that is told weighs too, evaluation losses do not.

    `schedule`: over what the learning rate warms up and falls to 0 by a cosine. "round": over each round anew, as in
    the released code. "federation": once over all rounds, as one training would; every site is where the round is in
    the federation, whatever its own number of steps. "constant": warms up once, likewise, and stays. Not in the papers
    (inferred). The rates of the first two add up to about the same over all rounds, those of the third to twice that.

    `keep_moments`: AdamW goes on from the moments of the site's last round that counted, where the factors' basis is
    still the same (training.moments); they never leave the site. Otherwise it begins without, as in the released code.
    """

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt = 4
    micro_batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 2e-4
    warmup_share: float = Field(0.05, ge=0, lt=1)
    schedule: RateSchedule = Field("round", exclude_if=lambda value: value == "round")
    weight_decay: Scalar = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    keep_moments: bool = Field(False, exclude_if=lambda value: not value)
    clip_norm: PositiveFloat | None = 1.0
    max_tokens: int = Field(800, ge=32, le=131072)
    max_new_tokens: int = Field(512, ge=8, le=8192)
    loss_on: Literal["answer", "all"] = "answer"
    checkpoint_steps: PositiveInt = 50
    mention_weight: float = Field(1.0, ge=1, le=10, exclude_if=lambda value: value == 1)
    privacy: PrivacySettings | None = Field(None, exclude_if=lambda value: value is None)

    @field_validator("clip_norm", mode="before")
    @classmethod
    def _false_is_no_clipping(cls, value: object) -> object:
        return None if value is False else value

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self

    @model_validator(mode="after")
    def _moments_are_adamw_s(self) -> TrainingSettings:
        if self.keep_moments and self.optimizer != "adamw":
            raise ValueError('keep_moments goes with optimizer = "adamw": SGD has no moments')
        return self


class TransferSettings(Frozen):
    """The form in which a site's update travels, and with `down` the common adapter too; guide/transfer.md.

    dtype "float32": the adapter itself. The others: its difference from the round's start, in bfloat16, or in blocks
    of `block` values that share a scale (64, inferred), each in 8 or 4 bits. `feedback`: what packing took is kept at
    the site and added to its next update; on the way down, by the coordinator (federation.way_down).

    `cut`: a site that trains at a smaller rank than the common adapter's fetches it cut to that rank, which it would do
    itself otherwise. The model that is evaluated and kept at the end is the whole one.
    """

    dtype: Literal["float32", "bfloat16", "int8", "int4"] = "float32"
    block: int = Field(64, ge=16, le=4096)
    feedback: bool = True
    down: bool = False
    cut: bool = Field(False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _something_is_packed(self) -> TransferSettings:
        if self.down and not self.packs:
            raise ValueError('down goes with dtype = "bfloat16", "int8" or "int4": a float32 adapter travels whole')
        if self.down and self.cut:
            raise ValueError("down sends differences of the whole common adapter: take out down, or cut")
        return self

    @property
    def packs(self) -> bool:
        return self.dtype != "float32"

    @property
    def feeds_back(self) -> bool:
        return self.packs and self.feedback

    def packing(self, cut: Cut) -> Packing | None:
        """Packing of an update; None where it travels as it is."""
        dtype: Packed | None = None if self.dtype == "float32" else self.dtype
        return Packing(dtype, self.block, cut) if dtype else None


WHOLE: Final = TransferSettings()


class Masking(Frozen):
    """The masking of updates, of which the coordinator learns the sum alone (secure_aggregation).

    `clip`: the largest change of one value. `largest_weight`: the most notes, or supervised tokens, of a site.
    `threshold`: more than this share of the sites must answer before a sum can be opened. `bits` of each number: sums
    are modulo 2 to this power. `noise_multiplier`: each site shortens its update to the length `clip` and adds its
    share of noise of so many times that, and all weigh the same (client_privacy); None without noise.
    """

    clip: PositiveFloat
    largest_weight: PositiveInt
    threshold: float = Field(ge=0.5, lt=1)
    bits: Literal[24, 28, 32] = Field(32, exclude_if=lambda value: value == 32)
    noise_multiplier: PositiveFloat | None = Field(None, exclude_if=lambda value: value is None)


class Difference(Frozen):
    """A packed blob that turns the common adapter `start` into the next one, `adapter`, to the last bit.

    `factors`: those that differ. `size`: bytes of the packed blob; `whole`: those of `adapter` itself.
    """

    sha256: Sha256
    size: PositiveInt
    start: Sha256
    adapter: Sha256
    whole: PositiveInt
    factors: tuple[Factor, ...] = Field(min_length=1)


class References(Frozen):
    """Values of earlier rounds, against which a site measures its drift before it asks for approval."""

    median_update_norm: Scalar
    loss: Scalar
    histogram: dict[str, Scalar] = Field(default_factory=dict)


class Plan(Frozen):
    """One site's part in one round. `start` and `frozen` are sha256 of adapter blobs; `seed` is already the site's own.

    kind "train": train from `start` at `rank`, offer an update. kind "evaluate": score `start` on the site's test notes
    (validation notes where it has none) and offer a report without blobs.

    `rounds`: in how many the federation trains, where the learning rate's schedule is over all of them; else None.
    `ranks`: each module's own where they are not all `rank`; they take no more bytes. `importance`: it is reported.
    `cut`: how a start of larger rank is reduced to `rank`. Where factors are averaged it keeps the first directions,
    since the best ones would be in a basis of the site's own (lora.algebra).
    `frozen`: an adapter that is active beside `start` in training and scoring and never changes.
    `freeze`: factors that are not trained. `own`: factors that never leave the site; it continues from its own last
    ones, and from `start` in its first round. An update holds the others, `shared`.
    `objective`: terms added to the loss of the task; each kind at most once.
    `transfer`: the form in which the update travels.
    `differences`: from which `start` can be rebuilt by who has an earlier one, in order; see `way_to`.
    `masking`: the update is masked before it is offered; None where it travels as it is.
    `rotation`: strength of the trained factors' rotation towards the start's before they are offered (lora.rotation).
    """

    kind: Literal["train", "evaluate"] = "train"
    round: PositiveInt
    rounds: PositiveInt | None = Field(None, exclude_if=lambda value: value is None)
    start: Sha256
    frozen: Sha256 | None = None
    rank: PositiveInt
    ranks: dict[str, PositiveInt] = Field({}, exclude_if=lambda value: not value)
    importance: bool = Field(False, exclude_if=lambda value: not value)
    cut: Cut = "best"
    training: TrainingSettings
    freeze: tuple[Factor, ...] = ()
    own: tuple[Factor, ...] = ()
    rotation: float | None = Field(None, ge=0, le=1)
    objective: tuple[Objective, ...] = ()
    references: References | None = None
    transfer: TransferSettings = WHOLE
    masking: Masking | None = None
    differences: tuple[Difference, ...] = Field((), max_length=100)
    seed: int = Field(ge=0, lt=2**64)

    @model_validator(mode="after")
    def _something_is_shared(self) -> Plan:
        if not self.shared:
            raise ValueError("at least one of the factors A and B must be trained and shared")
        if len({term.term for term in self.objective}) < len(self.objective):
            raise ValueError("an objective term is given twice")
        if self.kind == "train" and self.training.schedule != "round" and self.rounds is None:
            raise ValueError("a schedule over the federation needs its number of rounds")
        return self

    @property
    def sha256(self) -> Sha256:
        """Hash of all that is asked for; of a plan that earlier versions could have made, as they hashed it."""
        later: dict[str, Any] = {} if self.differences else {"differences": True}
        later |= {} if self.masking else {"masking": True}
        later |= {"transfer": True} if self.transfer == WHOLE else {}
        later |= {} if self.transfer == WHOLE or self.transfer.down else {"transfer": {"down": True}}
        return hashlib.sha256(self.model_dump_json(exclude=later).encode()).hexdigest()

    @property
    def by_module(self) -> Ranks:
        """Ranks of the modules, or the one of all."""
        return self.ranks or self.rank

    @property
    def largest_rank(self) -> int:
        """Largest rank of any module: a site's limit holds for each."""
        return max((self.rank, *self.ranks.values()))

    @property
    def shared(self) -> tuple[Factor, ...]:
        """The factors in an update's adapter part, A before B: those that are neither frozen nor the site's own."""
        kept = {*self.freeze, *self.own}
        return tuple(factor for factor in FACTORS if factor not in kept)

    @property
    def packing(self) -> Packing | None:
        """Packing of the update's adapter; None where it travels as it is."""
        return self.transfer.packing(self.cut)

    @property
    def proximal(self) -> Proximal | None:
        return next((term for term in self.objective if isinstance(term, Proximal)), None)

    @property
    def variate(self) -> ControlVariate | None:
        return next((term for term in self.objective if isinstance(term, ControlVariate)), None)

    @property
    def orthogonal(self) -> Orthogonal | None:
        return next((term for term in self.objective if isinstance(term, Orthogonal)), None)

    def evaluation(self) -> Plan:
        """Returns this plan for scoring only, without what concerns training alone, such as terms with their blobs."""
        scored = tuple(term for term in self.objective if not isinstance(term, ControlVariate))
        changes: dict[str, Any] = {"objective": scored, "masking": None, "ranks": {}, "importance": False}
        return self.model_copy(update={"kind": "evaluate", **changes})

    @property
    def parts(self) -> frozenset[str]:
        """Names of the blobs in this plan's update: `adapter`, and `control` for the change of c_i; or `masked`."""
        if self.kind == "evaluate":
            return frozenset()
        if self.masking:
            return frozenset({"masked"})
        return frozenset({"adapter", "control"} if self.variate else {"adapter"})

    @property
    def blobs(self) -> tuple[Sha256, ...]:
        """Hashes of all blobs that a site needs for this plan."""
        control = self.variate.control if self.variate else None
        return tuple(sha256 for sha256 in (self.start, self.frozen, control) if sha256)

    def way_to(self, held: Callable[[Sha256], bool]) -> tuple[Difference, ...]:
        """The differences to fetch, in order, for a site that holds these adapters; none if it has to fetch `start`."""
        way: list[Difference] = []
        wanted = self.start
        for one in reversed(self.differences):
            if one.adapter != wanted:
                break
            way.insert(0, one)
            if held(one.start):
                return tuple(way)
            wanted = one.start
        return ()
