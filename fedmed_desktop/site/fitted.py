# SPDX-License-Identifier: Apache-2.0
"""Fitted adapter of a site, beside the federation's final one: what it is made from, and how it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ..errors import UserFacingError, disk_fault
from ..federation import FederationSpec
from ..federation.fitted import Outcome
from ..lora import Adapter, load_adapter
from ..lora.base_model import fingerprint

# PEFT folders in a site's data folder: the federation's final adapter, and that which was fitted to the site's notes.
FINAL: Final = "final"
FITTED: Final = "fitted"
# That of a site whose method keeps a part of the model there.
OWN: Final = "this-site"
_OUTCOME: Final = "fitting.json"


def common_adapter(folder: Path, spec: FederationSpec, model: Path) -> Adapter:
    """The adapter that a site begins with, for the federation's base model. Raises UserFacingError: there is none yet,
    or `model` is another base model.
    """
    if not folder.exists():
        raise UserFacingError("fit.not_finished", path=str(folder))
    common = load_adapter(folder)
    if (found := fingerprint(model)) != spec.base.fingerprint:
        raise UserFacingError("join.other_base", found=found[:12], expected=spec.base.fingerprint[:12])
    return common


def keep_fitted(folder: Path, adapter: Adapter, outcome: Outcome, base_model: str) -> None:
    """Writes a PEFT folder, and in it what came of the fitting. Raises UserFacingError."""
    try:
        adapter.save_peft(folder, base_model)
        (folder / _OUTCOME).write_text(outcome.model_dump_json(indent=2) + "\n", "utf-8")
    except OSError as error:
        raise disk_fault(error, folder) from error


def kept_outcome(folder: Path) -> Outcome | None:
    """Outcome of the fitting whose adapter is in this folder; None where there is none, or it cannot be read."""
    try:
        return Outcome.model_validate_json((folder / _OUTCOME).read_bytes())
    except (OSError, ValidationError):
        return None
