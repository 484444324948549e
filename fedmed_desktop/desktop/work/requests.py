# SPDX-License-Identifier: Apache-2.0
"""Requests that a page makes of the engine: to join a federation, to read a note, to evaluate or fit a model. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...clinical import AnswerForm
from ...clinical.reading import Lengths
from ...federation import FederationSpec
from ...lora.module import Factor
from ...lora.quantised import Packing
from ...scores import TaskName
from .news import Side


class JoinRequest(BaseModel):
    """A form that was right, and the folder that keeps the site's state. Kept between starts as JSON. `types_map` None:
    the `types.toml` beside the notes, if there is one. `invitation`: its line, "" once it was used, and on this
    computer. `proxy` and `cores` (0: all but one): of the settings, not kept here. `agreed`: the person has seen what
    the federation is, and agreed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    name: str
    model: Path
    notes: Path
    types_map: Path | None = None
    data_dir: Path
    invitation: str = Field("", repr=False)
    proxy: str = Field("system", exclude=True, repr=False)
    cores: int = Field(0, exclude=True)
    agreed: bool = False


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter (a PEFT folder or a blob) and what acts beside it. Where it holds some `factors` only, or differences
    (`packing`), `start` has the rest. `own_b`: an adapter whose B stands in for the one of `adapter`.
    """

    adapter: Path
    frozen: Path | None = None
    personal: Path | None = None
    own_b: Path | None = None
    factors: tuple[Factor, ...] = ("A", "B")
    start: Path | None = None
    packing: Packing | None = None


@dataclass(frozen=True)
class TrialRequest:
    """Read `text` with the model in `model`: on each side with an adapter and what acts beside it, or without one.

    `types` are looked for; `form` and `lengths` are the federation's, or the usual ones. `text_tokens`: how much of the
    note is read at once, where that should be less than fits. `prompting` "chat": through the model's own template.
    `task`: what is asked; `modifiers`, `question` and `options` are for the tasks that ask for them.
    """

    text: str
    types: tuple[str, ...]
    model: Path
    sides: dict[Side, AdapterFiles | None]
    form: AnswerForm
    lengths: Lengths
    text_tokens: int | None
    prompting: Literal["plain", "chat"] = "plain"
    task: TaskName = "entities"
    modifiers: tuple[str, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationWanted:
    """Evaluate the base model and, beside it, an adapter (None: the base alone) on notes, as `spec` asks. `name`: what
    the adapter is called.
    """

    notes: Path
    model: Path
    types_map: Path | None
    adapter: AdapterFiles | None
    name: str
    spec: FederationSpec | None


@dataclass(frozen=True)
class FittingWanted:
    """Fit the `common` model, a PEFT folder, to the notes of a site as `spec` trains; the result goes into `folder`."""

    spec: FederationSpec
    site: str
    notes: Path
    types_map: Path | None
    model: Path
    common: Path
    folder: Path
