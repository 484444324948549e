# SPDX-License-Identifier: Apache-2.0
"""Choices of an experiment: corpora, how they become sites, the sites' hardware, and the methods."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import (
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..federation import TrainingSettings
from ..federation.client_privacy import ClientPrivacy
from ..federation.combine import Combining
from ..federation.methods import AnyMethod, usual
from ..federation.plan import TransferSettings
from ..federation.values import Frozen
from ..files import from_home
from ..scores import TaskName

CorpusName = Literal[
    "bundled", "mtsamples", "maccrobat", "bc5cdr", "ncbi_disease", "chia", "phee", "codiesp",
    "pubmedqa", "medmcqa", "aci_bench",
]  # fmt: skip
CORPORA: Final[tuple[str, ...]] = get_args(CorpusName)
Type = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=80)]
Of = Literal["specialties", "types", "chapters"]
EncoderKind = Literal["alone", "federated", "centralised"]

WITH_SPECIALTIES: Final[frozenset[str]] = frozenset({"mtsamples", "codiesp"})
"""A CodiEsp note's specialty is its ICD-10-CM chapter."""

ASKED: Final[dict[str, TaskName]] = {
    "pubmedqa": "questions",
    "medmcqa": "questions",
    "aci_bench": "summaries",
    "codiesp": "codes",
}
"""No entities, but labels for another task."""

UNLABELLED: Final[frozenset[str]] = frozenset({"mtsamples", *ASKED})
"""No entities: for the task "text", or that which they are labelled for."""


SCRATCH: Final = "scratch"
FROM_SCRATCH: Final = "small encoder trained from scratch"
ENCODER_LABELS: Final[dict[EncoderKind, str]] = {
    "alone": "encoder alone",
    "federated": "encoder FedAvg",
    "centralised": "encoder centralised",
}


class CorpusChoice(Frozen):
    """One corpus: a known one or, with a `path`, notes of your own in any format that a site may have.

    A types.toml beside these maps their types; a folder's train, validation and test are kept.

    `notes`: the most that are taken, always the same ones. `types`: a map of its types to the
    experiment's, in place of the usual one. `characters`: longer texts are cut between sentences; the cuts of one
    text stay together.
    """

    path: str | None = None
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=60)
    notes: PositiveInt | None = None
    types: dict[str, Type] | None = None
    characters: int | None = Field(None, ge=40)

    @field_validator("name")
    @classmethod
    def _is_known_or_has_a_path(cls, name: str, info: ValidationInfo) -> str:
        own = info.data.get("path") is not None
        if not own and name not in CORPORA:
            raise ValueError(
                f"there is no corpus {name!r}: give its path, or name one of {', '.join(map(repr, CORPORA))}"
            )
        if own and name in CORPORA:
            raise ValueError(f"{name!r} is the name of a known corpus: call your own notes something else")
        return name

    @model_validator(mode="after")
    def _map_fits(self) -> CorpusChoice:
        if self.types is not None and self.name in {"bundled", *UNLABELLED}:
            raise ValueError(f"the notes of {self.name} take no map of types: leave types out of this corpus")
        if self.characters is not None and self.name in ASKED:
            raise ValueError(f"the notes of {self.name} are asked about whole: leave characters out of it")
        return self


class SplitSettings(Frozen):
    """Division of the notes into sites.

    by "corpus": corpora go to the sites in turn (the bundled notes are three); with more sites than corpora a corpus is
    shared at random. "specialty", "icd_chapter": each goes whole to the site with the fewest notes for its share.
    "dirichlet": each site draws its mix of `over` (of types, a note's most frequent one) from Dirichlet(alpha x values
    x their shares of all notes). "iid": at random.

    `sizes` "skewed": each site has `ratio` times as many notes as the next one, as far as whole specialties allow; of
    corpora only those that go to several sites.

    Official splits are kept; else `validation_share` and `test_share` are taken from the training notes (0: no test
    notes). `notes`, `validation_notes` and `test_notes` are the most that a site keeps; of skewed sites `notes` is that
    of the largest. `total_notes` are for all sites together, shared out evenly. `lacking`: types that a site does not
    annotate, site after site, starting over at the end; `lacking_tasks`: tasks, likewise.
    """

    by: Literal["corpus", "specialty", "icd_chapter", "dirichlet", "iid"] = "corpus"
    over: Of | None = None
    alpha: PositiveFloat | None = None
    sizes: Literal["equal", "skewed"] = "equal"
    ratio: float | None = Field(None, gt=1, le=100)
    notes: PositiveInt | None = None
    validation_notes: PositiveInt | None = None
    test_notes: PositiveInt | None = None
    validation_share: float = Field(0.1, gt=0, lt=1)
    test_share: float = Field(0.1, ge=0, lt=1)
    lacking: tuple[tuple[Type, ...], ...] = ()
    lacking_tasks: tuple[tuple[TaskName, ...], ...] = ()
    total_notes: PositiveInt | None = None

    @model_validator(mode="after")
    def _belongs_together(self) -> SplitSettings:
        if self.by == "dirichlet" and (self.alpha is None or self.over is None):
            raise ValueError('by = "dirichlet" needs alpha and over, such as alpha = 0.3 and over = "specialties"')
        if self.by != "dirichlet" and (self.alpha is not None or self.over is not None):
            raise ValueError('alpha and over mean something with by = "dirichlet" alone: leave them out')
        if (self.sizes == "skewed") != (self.ratio is not None):
            raise ValueError('sizes = "skewed" and ratio go together, such as ratio = 2')
        if self.notes is not None and self.total_notes is not None:
            raise ValueError("notes is for each site and total_notes for all: leave one of them out")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on: lower them")
        return self

    @property
    def of(self) -> Of | None:
        """Properties of a note that decide where it goes, besides chance."""
        named: dict[str, Of] = {"specialty": "specialties", "icd_chapter": "chapters"}
        return self.over if self.by == "dirichlet" else named.get(self.by)

    def for_sites(self, sites: int) -> SplitSettings:
        """Returns these settings with each site's part of `total_notes`, at least one note, as its `notes`."""
        if self.total_notes is None:
            return self
        return self.model_copy(update={"notes": max(1, self.total_notes // sites), "total_notes": None})

    def site_shares(self, sites: int) -> list[float]:
        """The part of the notes that each site is to have."""
        sizes = [(self.ratio or 1.0) ** -number for number in range(sites)]
        return [size / sum(sizes) for size in sizes]


class Hardware(Frozen):
    """Limits of the sites' computers, site after site; a short list starts over at its end.

    `caps`: largest ranks. `speeds`: the part of a round's steps that a site does.
    """

    caps: tuple[PositiveInt, ...] = ()
    speeds: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()

    def caps_of(self, sites: int) -> tuple[int, ...]:
        """Caps by site; empty where there are none."""
        return tuple(islice(cycle(self.caps), sites)) if self.caps else ()

    def speeds_of(self, sites: int) -> tuple[float, ...]:
        return tuple(islice(cycle(self.speeds or (1.0,)), sites))


class EncoderSettings(Frozen):
    """The encoder baseline: token classification in place of generated text, by FedAvg of all that is trained.

    `model`: "scratch", a small BERT with random weights, or the folder of an encoder, from where the lab is started.
    `epochs` are of a round; `kinds` say who trains, as the baselines of these names do. The defaults are those of the
    papers' Bio_ClinicalBERT, but from scratch embeddings cannot be frozen, and the learning rate and batches are ours.
    """

    model: str = Field(SCRATCH, min_length=1)
    epochs: PositiveFloat = 3.0
    batch_size: PositiveInt = Field(default_factory=lambda values: 16 if values.get("model") == SCRATCH else 64)
    learning_rate: PositiveFloat = Field(
        default_factory=lambda values: 1e-3 if values.get("model") == SCRATCH else 2e-4
    )
    freeze_embeddings: bool = Field(default_factory=lambda values: values.get("model") != SCRATCH)
    max_tokens: int = Field(512, ge=64, le=8192)
    kinds: tuple[EncoderKind, ...] = Field(("alone", "federated", "centralised"), min_length=1)

    @field_validator("freeze_embeddings")
    @classmethod
    def _is_there_to_freeze(cls, freeze: bool, info: ValidationInfo) -> bool:
        if freeze and info.data.get("model") == SCRATCH:
            raise ValueError("embeddings from scratch have learnt nothing yet: leave freeze_embeddings out")
        return freeze

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, kinds: tuple[EncoderKind, ...]) -> tuple[EncoderKind, ...]:
        if len(set(kinds)) != len(kinds):
            raise ValueError("a value stands here twice")
        return kinds

    @property
    def folder(self) -> Path | None:
        """None: from scratch."""
        return None if self.model == SCRATCH else from_home(self.model)

    @property
    def described(self) -> str:
        """Words for the model in a table."""
        return FROM_SCRATCH if self.folder is None else self.folder.name[:100]


class NewcomerSettings(Frozen):
    """A site that took no part and then joins with few notes: of each number of `sizes`, the first ones of `corpus`.

    It trains `steps` steps from the base, from the federation's adapter, and in an adapter of its own beside that one,
    and is scored on `test_notes` others. The steps are the same for every size (inferred).
    """

    corpus: CorpusChoice
    sizes: tuple[PositiveInt, ...] = Field((5, 20, 50, 100), min_length=1)
    steps: PositiveInt = 60
    test_notes: PositiveInt = 100


class SharedSettings(Frozen):
    """Shared notes that are worse than the usual ones, which are validation notes of the sites.

    Each mention is `wrong` with this probability: dropped, or moved to another word. `elsewhere`: they are of the
    experiment's `shared_corpus`, which no site has.
    """

    wrong: float = Field(0.0, ge=0, le=1)
    elsewhere: bool = False


class MethodChoice(Frozen):
    """A method with its parameters (`method`, as in a federation's specification), under a label of its own.

    `combine`: the specification's, by default the first way that fits. `rank`: its first rank; "smallest_cap" is for
    methods that cannot mix ranks. `transfer`: the form in which updates travel. `client_privacy`: whole sites are
    hidden, by noise that comes from the seed, so that results can be repeated. `training` (such as a learning rate) and
    `shared_notes` replace the experiment's; `shared` says what is wrong with these.
    """

    method: AnyMethod
    label: str = Field(
        default_factory=lambda values: values["method"].name if "method" in values else "",
        min_length=1,
        max_length=60,
        pattern=r"^[^\x00-\x1f\x7f]+$",
    )
    combine: Combining = Field(
        default_factory=lambda values: usual(values["method"].name if "method" in values else "")
    )
    rank: Annotated[int, Field(ge=1, le=1024)] | Literal["smallest_cap"] | None = None
    transfer: TransferSettings = TransferSettings()
    client_privacy: ClientPrivacy | None = None
    training: dict[str, JsonValue] = Field(default_factory=dict)
    shared_notes: int | None = Field(None, ge=0, le=50)
    shared: SharedSettings = Field(SharedSettings(), exclude_if=lambda value: value == SharedSettings())

    @field_validator("training")
    @classmethod
    def _is_training(cls, training: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            _merged(TrainingSettings(epochs=1), training)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "together"
            raise ValueError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None
        return training

    def trained(self, usual: TrainingSettings) -> TrainingSettings:
        """The experiment's training settings with this method's own."""
        return _merged(usual, self.training)


def _merged(usual: TrainingSettings, own: dict[str, JsonValue]) -> TrainingSettings:
    lengths = {"epochs", "steps"}
    kept = {key: value for key, value in usual if not (key in lengths and own.keys() & lengths)}
    return TrainingSettings.model_validate(kept | own)
