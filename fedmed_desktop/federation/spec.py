# SPDX-License-Identifier: Apache-2.0
"""Specification of a federation: everything that sites agree on before round one, as one TOML file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import tomli_w
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ..bounds import Count, PositiveFloat, PositiveInt
from ..files import read_toml
from ..lora.algebra import Cut
from ..scores import TASKS, TaskName
from ..standing import DeadlineName
from .client_privacy import ClientPrivacy, expected_noise, with_noise
from .client_privacy import misfit as client_privacy_misfit
from .combine import Combining
from .methods import AnyMethod, FedMedLora, usual
from .methods.method import HistogramOf, Setting
from .plan import Masking, TrainingSettings, TransferSettings
from .privacy import misfit as privacy_misfit
from .screened import ScreeningSettings, misfit
from .secure_aggregation.fitting import misfit as masking_misfit
from .secure_aggregation.values import SecureAggregationSettings
from .transfer import misfit as transfer_misfit
from .validation import validated
from .values import Frozen, Sha256

FORMAT: Final = 1
SPEC_FILE: Final = "federation.toml"
"""Name under which a new federation's specification is written."""


class BaseModelSpec(Frozen):
    """The base model that every site must have, and its adapted linears: name -> (d, k), outputs and inputs.

    `weights`: how many numbers it holds in all; None in specifications of earlier versions.
    `chat_template`: identity of its template as prompts show it, where they go through one (training.chat).
    """

    fingerprint: Sha256
    initial: Sha256
    chat_template: Sha256 | None = None
    modules: dict[str, tuple[PositiveInt, PositiveInt]] = Field(min_length=1)
    weights: PositiveInt | None = None

    @property
    def full_bytes(self) -> int | None:
        """Bytes of the whole model in bfloat16: what a site would send that sent the model itself."""
        return 2 * self.weights if self.weights else None


class LoraSettings(Frozen):
    """Rank of the first round, and alpha (16 and 64 in Fed-MedLoRA's released code, arXiv 2601.22124).

    The scale alpha / rank is constant throughout the federation, even when ranks change. The frozen adapter beside the
    base (`fedex`, `flora`, `combine = "stack"`) is cut back to `frozen_rank` per module.
    """

    rank: int = Field(16, ge=1, le=1024)
    alpha: PositiveFloat = 64.0
    frozen_rank: int = Field(256, ge=1, le=4096)

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


# Ten years at most: a deadline must be a date.
Minutes = Annotated[float, Field(gt=0, le=5_256_000)]


class RoundSettings(Frozen):
    """Quorum and the five deadlines of rounds.

    Round one opens once `sites` have joined, or `join_minutes` after the first if they are a quorum. A round closes
    when every asked site has answered, or `training_minutes` after it was opened with at least `quorum` updates. A site
    that is waiting for its operator's decision then has until `approval_minutes` after it began to wait. `clients` of
    the joined sites are asked in each round (None: all).

    `download_minutes` and `upload_minutes` count progress: time in which not a byte of a transfer has moved. A round
    that has its quorum does not wait for a site whose transfer stands still for so long, and waits for one whose upload
    still moves when its time is up, but no longer than `training_minutes` more. Both inferred, like the others.
    """

    sites: PositiveInt = 3
    quorum: PositiveInt = 2
    clients: PositiveInt | None = None
    join_minutes: Minutes = 60.0
    download_minutes: Minutes = 60.0
    training_minutes: Minutes = 240.0
    approval_minutes: Minutes = 1440.0
    upload_minutes: Minutes = 60.0

    @model_validator(mode="after")
    def _quorum_is_reachable(self) -> RoundSettings:
        if self.quorum > self.sites:
            raise ValueError(f"quorum {self.quorum} is more than the {self.sites} expected sites")
        if self.clients is not None and self.quorum > self.clients:
            raise ValueError(f"quorum {self.quorum} is more than the {self.clients} sites that are asked in a round")
        return self

    @property
    def deadlines(self) -> dict[DeadlineName, timedelta]:
        """All five, in the order in which a round meets them."""
        return {
            "join": timedelta(minutes=self.join_minutes),
            "download": timedelta(minutes=self.download_minutes),
            "train": self.training_time,
            "approve": self.approval_time,
            "upload": timedelta(minutes=self.upload_minutes),
        }

    @property
    def training_time(self) -> timedelta:
        return timedelta(minutes=self.training_minutes)

    @property
    def approval_time(self) -> timedelta:
        return timedelta(minutes=self.approval_minutes)


class ShareSettings(Frozen):
    """Optional contents of an update's report; every site sees these settings before it joins.

    `scores`: the counts behind F1 on a site's own notes; without them the federation's score is unknown.
    `histogram`: numbers of training notes by specialty, or of entities by type; semantic drift needs it.
    """

    scores: bool = True
    histogram: HistogramOf = "none"


class SharedEntity(Frozen):
    """One mention in a shared note; Python character offsets, half-open."""

    start: Count
    end: PositiveInt
    type: str = Field(min_length=1, max_length=80)


class SharedNote(Frozen):
    """A note that every site may read and that updates are weighted by. Never a real patient's."""

    text: str = Field(min_length=1, max_length=20_000)
    entities: tuple[SharedEntity, ...] = ()

    @field_validator("text")
    @classmethod
    def _is_not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("a shared note is blank")
        return text

    @model_validator(mode="after")
    def _entities_lie_inside(self) -> SharedNote:
        if wrong := [one for one in self.entities if not one.start < one.end <= len(self.text)]:
            raise ValueError(f"the entity from {wrong[0].start} to {wrong[0].end} does not lie inside the text")
        return self


def shared_note(note: object) -> SharedNote:
    """A clinical note, or anything with such a text and entities, as a specification holds it."""
    return SharedNote.model_validate(note, from_attributes=True)


def _one_or_more(tasks: object) -> object:
    """The tasks of either key; a list is made a tuple, since messages are read strictly."""
    if isinstance(tasks, str):
        return (tasks,)
    return tuple(tasks) if isinstance(tasks, list) else tasks


def _in_order(tasks: tuple[TaskName, ...]) -> tuple[TaskName, ...]:
    if len(set(tasks)) < len(tasks):
        raise ValueError("a task is named twice")
    if "text" in tasks and len(tasks) > 1:
        raise ValueError('"text" is learned without labels and goes with no other task: leave it out, or name it alone')
    return tuple(name for name in TASKS if name in tasks)


Tasks = Annotated[
    tuple[TaskName, ...],
    BeforeValidator(_one_or_more),
    AfterValidator(_in_order),
    Field(min_length=1, validation_alias=AliasChoices("tasks", "task")),
]
"""Tasks that go together, in the order in which they are always shown. `task` named the one task in older files."""


class FederationSpec(Frozen):
    """A federation's specification, read by `load_spec` and written by `dump_spec`.

    `environment`: "production" for work that counts, else "test"; faces warn by it. `combine`: how updates become one
    adapter (federation.combine); by default the first way that fits the method.

    `tasks` (clinical.tasks): "entities" are mentions of `types`; "relations" are `modifiers` of these, with their
    links. A site trains on those that its notes have labels for. "text", always alone: causal loss on the notes
    themselves, without labels. prompt "chat": prompts go through the base's own chat template.
    score_on "loss": sites report losses alone and generate no answers, which would take most of a small round's time.
    `shared_notes`: public notes, on which some methods measure each site's model. Without `client_privacy` the key is
    not written: specifications look as they did before there was one.
    """

    format: Literal[1] = FORMAT
    name: str = Field(min_length=1, max_length=80)
    environment: Literal["test", "production"] = "test"
    tasks: Tasks = ("entities",)
    types: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()
    score_on: Literal["answers", "loss"] = Field(
        default_factory=lambda values: "loss" if values.get("tasks") == ("text",) else "answers"
    )
    answer_form: Literal["html", "json"] = "html"
    prompt: Literal["plain", "chat"] = "plain"
    rounds: int = Field(3, ge=1, le=10_000)
    seed: int = Field(0, ge=0, lt=2**32)
    base: BaseModelSpec
    method: AnyMethod = FedMedLora()
    combine: Combining = Field(
        default_factory=lambda values: usual(values["method"].name if "method" in values else "")
    )
    lora: LoraSettings = LoraSettings()
    training: TrainingSettings = TrainingSettings(epochs=1)
    round: RoundSettings = RoundSettings()
    share: ShareSettings = ShareSettings()
    screening: ScreeningSettings = ScreeningSettings()
    transfer: TransferSettings = TransferSettings()
    secure_aggregation: SecureAggregationSettings = SecureAggregationSettings()
    client_privacy: ClientPrivacy | None = Field(None, exclude_if=lambda value: value is None)
    shared_notes: tuple[SharedNote, ...] = Field((), max_length=50)

    @field_validator("types", "modifiers")
    @classmethod
    def _types_are_plain(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [t for t in types if not t.isidentifier() or t != t.lower()]:
            raise ValueError(f"type {bad[0]!r} is not a lower-case word")
        if len(set(types)) != len(types):
            raise ValueError("a type is named twice")
        return tuple(sorted(types))

    @model_validator(mode="after")
    def _types_fit_the_task(self) -> FederationSpec:
        marks = {"entities", "relations"} & set(self.tasks)
        if marks and not self.types:
            raise ValueError('name at least one type of entity, or set tasks = ["text"]')
        if ("relations" in self.tasks) != bool(self.modifiers):
            raise ValueError('the task "relations" and modifiers go together, such as modifiers = ["dosage", "route"]')
        if both := sorted(set(self.types) & set(self.modifiers)):
            raise ValueError(f"{both[0]!r} is named both as a type and as a modifier")
        if self.tasks == ("text",) and self.score_on == "answers":
            raise ValueError('tasks = ["text"] has no answers to score: set score_on = "loss"')
        if not marks and self.share.histogram == "types":
            raise ValueError('these tasks read no entities: set share.histogram = "specialties" or "none"')
        return self

    @model_validator(mode="after")
    def _method_fits(self) -> FederationSpec:
        setting = Setting(
            combine=self.combine,
            training=self.training,
            histogram=self.share.histogram,
            shared_notes=bool(self.shared_notes),
            tasks=self.tasks,
        )
        name = self.method.name
        masked = masking_misfit(
            self.secure_aggregation,
            name,
            self.combine,
            scored_by=self.method.scored_by,
            screens=self.screening.is_on,
            packs=self.transfer.packs,
            quorum=self.round.quorum,
            clients=self.round.clients,
        )
        travels = transfer_misfit(self.transfer, self.method, self.combine)
        private = privacy_misfit(self.training.privacy, self.method, self.share.histogram)
        whole = client_privacy_misfit(
            self.client_privacy,
            self.method,
            self.combine,
            self.share.histogram,
            screens=self.screening.is_on,
            masks=self.secure_aggregation.on,
        )
        rest = travels or private or masked or whole
        if code := self.method.misfit(setting) or misfit(self.screening, name) or rest:
            raise PydanticCustomError(code, code)
        return self

    @model_validator(mode="after")
    def _noise_leaves_something(self) -> FederationSpec:
        noise = expected_noise(self)
        if noise and self.client_privacy and not self.client_privacy.accept_noise and noise.buries:
            told = {"times": round(noise.times), "sites": noise.sites, "values": f"{noise.values:,}"}
            raise PydanticCustomError("client_privacy.buried", "client_privacy.buried", told)
        return self

    @property
    def masking(self) -> Masking | None:
        """The masking of the updates, for the sites that are expected; None where they travel as they are."""
        masking = self.secure_aggregation.masking(self.round.sites)
        return with_noise(masking, self) if masking and self.client_privacy else masking

    @property
    def cut(self) -> Cut:
        """The way in which a start is reduced to a site's smaller rank; see Plan."""
        return "first" if self.combine == "factors" else "best"

    def site_seed(self, site: str, round_number: int) -> int:
        """Seed of one site in one round: 64 bits of a hash over (seed, site, round)."""
        digest = hashlib.sha256(json.dumps([self.seed, site, round_number]).encode()).digest()
        return int.from_bytes(digest[:8], "big")


def spec_file(path: Path) -> Path:
    """The file that is meant: of a federation's folder, the specification in it."""
    with contextlib.suppress(OSError):  # reading it says what is wrong
        return path / SPEC_FILE if path.is_dir() else path
    return path


def load_spec(path: Path) -> FederationSpec:
    """Reads a TOML specification, or the one in a folder. Raises UserFacingError with the file, and a wrong key."""
    path = spec_file(path)
    return checked_spec(read_toml(path, "spec.missing", "spec.unreadable"), path.name)


def checked_spec(data: Mapping[str, object], where: str) -> FederationSpec:
    """The validated specification. Raises UserFacingError with `where` and the wrong key."""
    return validated(FederationSpec, data, where, "a specification")


def dump_spec(spec: FederationSpec) -> str:
    """The specification as TOML, every default written out, so that a reader sees what holds."""
    data = spec.model_dump(mode="json", exclude_none=True)
    if spec.training.clip_norm is None:  # TOML has no null, and to leave the key out would mean the default
        data["training"]["clip_norm"] = False
    return tomli_w.dumps(data)
