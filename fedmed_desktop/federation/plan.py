# SPDX-License-Identifier: Apache-2.0
"""What a site is asked to do in a round, as data: the training package turns it into torch."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from ..lora.algebra import Cut
from ..lora.module import Factor

FACTORS: Final[tuple[Factor, ...]] = ("A", "B")

# Names of blobs become names of files, so a plan that a hostile coordinator made must not hold any other text.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """Base of all values of the federation: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrainingSettings(Frozen):
    """Local training. Defaults are those of Fed-MedLoRA's released code (methods: 2.1) unless marked.

    `clip_norm` false (None) means no clipping.
    Exactly one of `epochs` and `steps` is given; both count per round. `loss_on="answer"` is ours, "all" the authors'.
    """

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt = 4
    micro_batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 2e-4
    warmup_share: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    clip_norm: PositiveFloat | None = 1.0
    max_tokens: int = Field(800, ge=32, le=131072)
    max_new_tokens: int = Field(512, ge=8, le=8192)
    loss_on: Literal["answer", "all"] = "answer"
    checkpoint_steps: PositiveInt = 50

    @field_validator("clip_norm", mode="before")
    @classmethod
    def _false_is_no_clipping(cls, value: object) -> object:
        return None if value is False else value

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


class References(Frozen):
    """Values of earlier rounds against which a site measures its own drift before it asks for approval."""

    median_update_norm: float = Field(ge=0)
    loss: float = Field(ge=0)
    histogram: dict[str, float] = Field(default_factory=dict)


class Proximal(Frozen):
    """Adds (mu / 2) |x - x_start|^2 to the loss: of the factors, or of delta W itself (FedProx; methods 4.14).

    Parameter by parameter, so `mu` does not depend on the number of examples.
    """

    term: Literal["proximal"] = "proximal"
    mu: PositiveFloat
    on: Literal["factors", "product"] = "factors"


class ControlVariate(Frozen):
    """SCAFFOLD's correction c - c_i (arXiv 1910.06378; methods 4.14); c_i stays at the site and its change is shared.

    `control` is the coordinator's c; None means zero, as in the first round. form "sgd": c_i from the way that local
    SGD went, (x - y) / (steps x rate) + c_i - c. form "gradient": c_i is the mean gradient of the loss at the start,
    which is right under AdamW too, whose steps are no multiples of gradients. In both it joins the gradient.
    """

    term: Literal["control"] = "control"
    form: Literal["sgd", "gradient"]
    control: Sha256 | None = None


class Orthogonal(Frozen):
    """Trains a personal adapter of rank `rank` beside the shared one and keeps the two apart (FedOPAL; methods 3).

    Adds `weight` times their overlap, a mean over modules: 0 where they are orthogonal. on "weights": |A_g A_p^T|^2 /
    min(r_g, r_p) of unit rows, 1 where orthonormal rows span the same; on "outputs": mean over tokens of
    cos^2(B_g A_g x, B_p A_p x). Both inferred. The personal adapter never leaves the site.
    """

    term: Literal["orthogonal"] = "orthogonal"
    weight: float = Field(ge=0)
    on: Literal["weights", "outputs"] = "weights"
    rank: PositiveInt


Objective = Annotated[Proximal | ControlVariate | Orthogonal, Field(discriminator="term")]


class Plan(Frozen):
    """One site's part in one round. `start` and `frozen` are sha256 of adapter blobs; `seed` is already the site's own.

    kind "train": train from `start` at `rank`, offer an update. kind "evaluate": score `start` on the site's test notes
    (validation notes where it has none) and offer a report without blobs.

    `cut`: how a start of a larger rank is brought to `rank`. Where factors are averaged it keeps its first directions,
    since the best ones stand in a basis of the site's own, which no other site's factors are in (lora.algebra).
    `frozen`: an adapter that is active beside `start` in training and scoring, and never changes.
    `freeze`: factors that are not trained. `own`: factors that a site takes from the end of its own last round instead
    of from `start` (which it does in its first), and that never leave it. An update holds the others: `shared`.
    `objective`: terms beside the loss of the task; each sort at most once.
    `rotation`: turn the trained factors towards the start's before they are offered (lora.rotation), this strongly.
    """

    kind: Literal["train", "evaluate"] = "train"
    round: PositiveInt
    start: Sha256
    frozen: Sha256 | None = None
    rank: PositiveInt
    cut: Cut = "best"
    training: TrainingSettings
    freeze: tuple[Factor, ...] = ()
    own: tuple[Factor, ...] = ()
    rotation: float | None = Field(None, ge=0, le=1)
    objective: tuple[Objective, ...] = ()
    references: References | None = None
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _something_is_shared(self) -> Plan:
        if not self.shared:
            raise ValueError("at least one of the factors A and B must be trained and shared")
        if len({term.term for term in self.objective}) < len(self.objective):
            raise ValueError("an objective term is given twice")
        return self

    @property
    def shared(self) -> tuple[Factor, ...]:
        """The factors that an update's adapter part holds, A before B; it lacks what is frozen or a site's own."""
        kept = {*self.freeze, *self.own}
        return tuple(factor for factor in FACTORS if factor not in kept)

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
        """This plan as one that scores: without what corrects training alone, which a site need not even fetch."""
        scored = tuple(term for term in self.objective if not isinstance(term, ControlVariate))
        return self.model_copy(update={"kind": "evaluate", "objective": scored})

    @property
    def parts(self) -> frozenset[str]:
        """Names of the blobs that an update to this plan has: `adapter`, and `control` for the change of c_i."""
        if self.kind == "evaluate":
            return frozenset()
        return frozenset({"adapter", "control"} if self.variate else {"adapter"})

    @property
    def blobs(self) -> tuple[Sha256, ...]:
        """Hashes of all blobs that a site needs for this plan."""
        control = self.variate.control if self.variate else None
        return tuple(sha256 for sha256 in (self.start, self.frozen, control) if sha256)
