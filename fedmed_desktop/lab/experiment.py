# SPDX-License-Identifier: Apache-2.0
"""An experiment in one TOML file: methods to compare, their notes and seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ..clinical import AnswerForm
from ..errors import UserFacingError
from ..federation import TrainingSettings
from ..federation.client_privacy import misfit as client_privacy_misfit
from ..federation.fitted import FittedSettings
from ..federation.methods.method import HistogramOf, Setting
from ..federation.privacy import misfit as privacy_misfit
from ..federation.spec import LoraSettings, Tasks
from ..federation.transfer import misfit as transfer_misfit
from ..federation.validation import validated
from ..federation.values import Frozen
from ..files import from_home, read_toml
from ..resources import resource
from ..scores import TaskName
from .choices import (
    ASKED,
    ENCODER_LABELS,
    UNLABELLED,
    WITH_SPECIALTIES,
    CorpusChoice,
    EncoderSettings,
    Hardware,
    MethodChoice,
    NewcomerSettings,
    SplitSettings,
    Type,
)

BUNDLED: Final = "bundled"
Baseline = Literal["base", "alone", "centralised", "encoder"]
BASELINES: Final[tuple[Baseline, ...]] = ("base", "alone", "centralised", "encoder")
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def reads_entities(tasks: Collection[TaskName]) -> bool:
    return not {"entities", "relations"}.isdisjoint(tasks)


_IN_THE_LAB: Final = {
    "methods.no_shared_notes": "lab.no_shared_notes",
    "methods.shared_notes_lack_labels": "lab.shared_notes_lack_labels",
}
"""Sentences of the lab in place of a federation's: it has no coordinator with notes of its own."""


class Experiment(Frozen):
    """An experiment's file as `load_experiment` reads it. Everything that is left out has the default that stands here.

    `cost`: time on two cores, for people. `model`: "bundled", or a folder, from where the lab is started.
    `begin_with`: an adapter of it that every cell begins with, likewise; "": an untrained one. Only `seeds`
    are reported; settings are tuned on `tuning_seeds`. Every cell runs with each count of `sites`; a round asks
    `clients` of them (None: all). The last models are also measured on `cohorts` of hospitals that took no part,
    and a `newcomer` begins from them; `fitted`, each site makes one of its own of them. `threads` decide the last
    bits of a result. `max_tokens_per_site`: the most training tokens of a site in a round. histogram "auto":
    specialties if every note has one, else entity types. `shared_notes`: validation notes shared for the methods that
    weigh by them, or notes of `shared_corpus`, which no site has. `baselines`: "base" trains nothing, "alone" trains
    every site for itself, "centralised" trains one site on all notes; each for as many steps as a federation. "encoder"
    tags tokens instead, in the ways that [encoder] names.
    """

    name: str = Field(min_length=1, max_length=80)
    cost: str = Field("", max_length=300)
    model: str = Field(BUNDLED, min_length=1)
    begin_with: str = Field("", exclude_if=lambda value: not value)
    tasks: Tasks = ("entities",)
    score_on: Literal["answers", "loss"] = Field(
        default_factory=lambda values: "loss" if values.get("tasks") == ("text",) else "answers"
    )
    types: tuple[Type, ...] = Field((), validate_default=True)
    modifiers: tuple[Type, ...] = Field((), validate_default=True)
    answer_form: AnswerForm = "html"
    prompt: Literal["plain", "chat"] = "plain"
    rounds: int = Field(3, ge=1, le=10_000)
    seeds: tuple[Seed, ...] = Field((1,), min_length=1)
    tuning_seeds: tuple[Seed, ...] = ()
    sites: tuple[PositiveInt, ...] = Field((3,), min_length=1)
    clients: PositiveInt | None = None
    threads: int = Field(1, ge=1, le=256)
    training: TrainingSettings = TrainingSettings(epochs=1)
    max_tokens_per_site: PositiveInt | None = None
    lora: LoraSettings = LoraSettings()
    histogram: Literal["auto", "none", "specialties", "types"] = "auto"
    shared_notes: int = Field(5, ge=0, le=50)
    shared_corpus: CorpusChoice | None = Field(None, exclude_if=lambda value: value is None)
    corpora: tuple[CorpusChoice, ...] = Field((CorpusChoice(name="bundled"),), min_length=1)
    cohorts: tuple[CorpusChoice, ...] = ()
    newcomer: NewcomerSettings | None = None
    fitted: FittedSettings | None = None
    split: SplitSettings = Field(SplitSettings(), validate_default=True)
    hardware: Hardware = Hardware()
    methods: tuple[MethodChoice, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    encoder: EncoderSettings = EncoderSettings()

    @field_validator("types")
    @classmethod
    def _types_fit_the_task(cls, types: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(types)) != len(types):
            raise ValueError("a type is named twice")
        tasks = info.data.get("tasks", ())
        if reads_entities(tasks) and not types:
            raise ValueError('name at least one type of entity, or set tasks = ["text"]')
        if tasks and not reads_entities(tasks) and types:
            raise ValueError(f'tasks = ["{tasks[0]}"] reads no entities: leave types out, or add the task "entities"')
        return tuple(sorted(types))

    @field_validator("modifiers")
    @classmethod
    def _modifiers_fit_the_task(cls, modifiers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if ("relations" in info.data.get("tasks", ())) != bool(modifiers):
            raise ValueError('the task "relations" and modifiers go together, such as modifiers = ["dosage", "route"]')
        if both := sorted(set(modifiers) & set(info.data.get("types", ()))):
            raise ValueError(f"{both[0]!r} is named both as a type and as a modifier")
        if len(set(modifiers)) != len(modifiers):
            raise ValueError("a modifier is named twice")
        return tuple(sorted(modifiers))

    @field_validator("score_on")
    @classmethod
    def _text_has_no_answers(cls, score_on: str, info: ValidationInfo) -> str:
        if info.data.get("tasks") == ("text",) and score_on == "answers":
            raise ValueError('tasks = ["text"] has no answers to score: set score_on = "loss"')
        return score_on

    @field_validator("tuning_seeds")
    @classmethod
    def _tuning_is_apart(cls, tuning: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if both := set(tuning) & set(info.data.get("seeds", ())):
            raise ValueError(f"seed {min(both)} is among the reported seeds too: what is tuned on is never reported")
        return tuning

    @field_validator("seeds", "tuning_seeds", "sites", "baselines")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) != len(values):
            raise ValueError("a value stands here twice")
        return values

    @field_validator("sites")
    @classmethod
    def _more_than_one_site(cls, sites: tuple[int, ...]) -> tuple[int, ...]:
        if 1 in sites:
            raise ValueError('one site is no federation: give 2 or more, and baselines = ["centralised"] for one alone')
        return sites

    @field_validator("clients")
    @classmethod
    def _clients_are_there(cls, clients: int | None, info: ValidationInfo) -> int | None:
        fewest = min(info.data.get("sites", (clients or 0,)))
        if clients is not None and clients > fewest:
            raise ValueError(f"{clients} sites cannot be asked in a round where sites has {fewest}: ask fewer")
        return clients

    @field_validator("histogram")
    @classmethod
    def _text_has_no_types(cls, histogram: str, info: ValidationInfo) -> str:
        if not reads_entities(info.data.get("tasks", ("entities",))) and histogram == "types":
            raise ValueError('these tasks read no entities: write "specialties", "none" or "auto"')
        return histogram

    @field_validator("corpora")
    @classmethod
    def _corpora_fit_the_task(cls, corpora: tuple[CorpusChoice, ...], info: ValidationInfo) -> tuple[CorpusChoice, ...]:
        names = [corpus.name for corpus in corpora]
        if len(set(names)) != len(names):
            raise ValueError("a corpus is named twice")
        tasks = info.data.get("tasks", ())
        own = {corpus.name for corpus in corpora if corpus.path is not None}  # what these have is seen when read
        bare = {name for name in UNLABELLED.intersection(names) if ASKED.get(name) not in tasks}
        if info.data.get("types") and bare:
            raise ValueError(f'{min(bare)} has no entities: set tasks = ["text"], or name other corpora')
        asked = set(ASKED.values()).intersection(tasks)
        if (
            asked
            and not reads_entities(tasks)
            and (without := {name for name in names if ASKED.get(name) not in tasks and name not in own})
        ):
            raise ValueError(f"{min(without)} has no {min(asked)}: name other corpora, or add its own task")
        if not own and (missing := asked - {ASKED.get(name) for name in names}):
            raise ValueError(f"no corpus here has {min(missing)}: add one that has, or leave the task out")
        known = info.data.get("types")
        foreign = sorted({target for corpus in corpora for target in (corpus.types or {}).values()})
        foreign = [target for target in foreign if target not in {*(known or ()), *info.data.get("modifiers", ())}]
        if known is not None and foreign:
            raise ValueError(f"the map of types leads to {foreign[0]!r}, which is not among types")
        return corpora

    @field_validator("split")
    @classmethod
    def _split_fits_the_corpora(cls, split: SplitSettings, info: ValidationInfo) -> SplitSettings:
        names = {corpus.name for corpus in info.data.get("corpora", ())}
        own = {corpus.name for corpus in info.data.get("corpora", ()) if corpus.path is not None}
        if split.of == "specialties" and (without := names - WITH_SPECIALTIES - own):
            raise ValueError(f"the notes of {min(without)} have no specialty: split otherwise, or leave it out")
        if split.of == "chapters" and (without := names - {"codiesp"}):
            raise ValueError(f"the notes of {min(without)} have no ICD-10 codes; only codiesp's have")
        if split.of == "types" and not reads_entities(info.data.get("tasks", ("entities",))):
            raise ValueError('these tasks read no entities: choose over = "specialties"')
        types = set(info.data.get("types", ()))
        for lacking in split.lacking:
            if unknown := sorted(set(lacking) - types):
                raise ValueError(f"{unknown[0]!r} cannot be lacking, since it is not among types")
            if lacking and set(lacking) == types:
                raise ValueError("a site cannot lack every type: leave it one")
        return split

    @model_validator(mode="after")
    def _something_is_compared(self) -> Experiment:
        if not self.methods and not self.baselines:
            raise ValueError("there is nothing to run: add [[methods]] or baselines")
        labels = [choice.label for choice in self.methods]
        if twice := sorted({one for one in labels if labels.count(one) > 1}):
            raise ValueError(f"two methods are labelled {twice[0]!r}: give each a label of its own")
        if taken := sorted(set(labels) & {*BASELINES, *ENCODER_LABELS.values()}):
            raise ValueError(f"a method is labelled {taken[0]!r}, which is a baseline's name: give it another label")
        if any(choice.shared.elsewhere for choice in self.methods) != (self.shared_corpus is not None):
            raise ValueError("[shared_corpus] and a method with shared = { elsewhere = true } go together")
        return self

    @model_validator(mode="after")
    def _encoder_fits(self) -> Experiment:
        asked = "encoder" in self.baselines
        if "encoder" in self.model_fields_set and not asked:
            raise ValueError('[encoder] is for the baseline "encoder": add it to baselines, or leave [encoder] out')
        if asked and self.tasks != ("entities",):
            raise ValueError('the baseline "encoder" marks entities only: set tasks = ["entities"], or leave it out')
        return self

    @model_validator(mode="after")
    def _methods_fit(self) -> Experiment:
        for choice in self.methods:
            setting = Setting(
                combine=choice.combine,
                training=choice.trained(self.training),
                histogram=self.histogram_of,
                shared_notes=bool(self.shared_by(choice)),
                tasks=self.tasks,
            )
            travels = transfer_misfit(choice.transfer, choice.method, choice.combine)
            code = "lab.no_scorer" if choice.method.scored_by == "coordinator" else choice.method.misfit(setting)
            private = privacy_misfit(choice.trained(self.training).privacy, choice.method, self.histogram_of)
            whole = client_privacy_misfit(
                choice.client_privacy, choice.method, choice.combine, self.histogram_of, screens=False, masks=False
            )
            if code := _IN_THE_LAB.get(code or "", code) or travels or private or whole:
                raise PydanticCustomError(code, code, {"part": choice.label})
            self._check_rank(choice)
        return self

    def _check_rank(self, choice: MethodChoice) -> None:
        mixes = choice.method.mixes_ranks and choice.client_privacy is None
        for sites in self.sites:
            caps = self.hardware.caps_of(sites)
            rank = self.lora_of(choice, sites).rank
            if caps and not mixes and rank > min(caps):
                code = "lab.rank_over_cap"
                context = {"part": choice.label, "method": choice.method.name, "rank": rank, "cap": min(caps)}
                raise PydanticCustomError(code, code, context)

    @model_validator(mode="after")
    def _elsewhere_is_elsewhere(self) -> Experiment:
        names = [choice.name for choice in (*self.corpora, *self.elsewhere)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} is named twice: cohorts and newcomers need notes that no site has")
        return self

    @property
    def elsewhere(self) -> tuple[CorpusChoice, ...]:
        """The corpora that are at none of the sites. A newcomer may come from a cohort."""
        own = (self.newcomer.corpus,) if self.newcomer and self.newcomer.corpus not in self.cohorts else ()
        return (*self.cohorts, *own, *((self.shared_corpus,) if self.shared_corpus else ()))

    @property
    def histogram_of(self) -> HistogramOf:
        """The histogram that sites send of their notes, "auto" resolved."""
        if self.histogram != "auto":
            return self.histogram
        if all(corpus.name in WITH_SPECIALTIES for corpus in self.corpora):
            return "specialties"
        return "types" if self.types else "none"

    @property
    def model_folder(self) -> Path:
        return resource("demo_model") if self.model == BUNDLED else from_home(self.model)

    @property
    def adapter_folder(self) -> Path | None:
        """Folder of the adapter that every cell begins with; None where it is an untrained one."""
        if self.begin_with == BUNDLED:
            return resource("demo_adapter")
        return from_home(self.begin_with) if self.begin_with else None

    def shared_by(self, choice: MethodChoice) -> int:
        """Number of notes shared for this method; 0 if it needs none."""
        if choice.method.scored_by == "nobody":
            return 0
        return self.shared_notes if choice.shared_notes is None else choice.shared_notes

    @property
    def set_aside(self) -> int:
        """Number of validation notes, the first ones, that no cell scores on because some method shares them."""
        return max(map(self.shared_by, self.methods), default=0)

    def lora_of(self, choice: MethodChoice, sites: int) -> LoraSettings:
        """The LoRA settings of a method for this number of sites. A rank of its own keeps the scale of [lora]."""
        caps = self.hardware.caps_of(sites)
        smallest = min((*caps, self.lora.rank))
        rank = smallest if choice.rank == "smallest_cap" else choice.rank or self.lora.rank
        return self.lora.model_copy(update={"rank": rank, "alpha": self.lora.scale * rank})


def with_cohorts(experiment: Experiment, given: Sequence[str]) -> Experiment:
    """The experiment with more cohorts, each as "NAME=PATH". Raises UserFacingError for one that is not so."""
    cohorts = [choice.model_dump() for choice in experiment.cohorts]
    for one in given:
        name, there, path = one.partition("=")
        if not (name and there and path):
            raise UserFacingError("lab.cohort", given=one)
        cohorts.append({"name": name, "path": path})
    if not given:
        return experiment
    return validated(
        Experiment, experiment.model_dump(exclude_unset=True) | {"cohorts": cohorts}, "--cohort", "an experiment"
    )


def load_experiment(path: Path) -> Experiment:
    """Reads a TOML experiment; raises UserFacingError naming the file and, for a wrong value, its key."""
    return validated(Experiment, read_toml(path, "lab.missing", "lab.unreadable"), path.name, "an experiment")
