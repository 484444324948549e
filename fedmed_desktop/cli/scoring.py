# SPDX-License-Identifier: Apache-2.0
"""`--score-with`: the coordinator measures each update on notes of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserFacingError

if TYPE_CHECKING:
    from ..federation import FederationSpec, Scorer

# How many notes Fed-MedLoRA+ weighs by (arXiv 2601.22124).
DEFAULT_NOTES = 5


def make_scorer(spec: FederationSpec, model: str, notes: Path, most: int) -> Scorer:
    """The scorer of `--coordinator --score-with`; torch is loaded here. Raises UserFacingError."""
    from ..coordinator.first_notes import plain, typed
    from ..lora.base_model import file_state, fingerprint
    from ..training.model_folder import resolve_model

    folder = resolve_model(model)
    state = file_state(folder)
    if (found := fingerprint(folder)) != spec.base.fingerprint:
        raise UserFacingError("coordinator.other_base", found=found[:12], expected=spec.base.fingerprint[:12])
    chosen, types = typed(notes, spec.types, most, spec.modifiers) if spec.types else (plain(notes, most), ())
    from ..training.loading import LoadedBase
    from ..training.scoring import SharedNotesScorer, asked_for
    from ..training.site_tasks import site_tasks

    chosen = asked_for(chosen, types, spec.modifiers)
    settings, tasks = spec.training, site_tasks(spec, chosen, types)
    if spec.types and not tasks:
        raise UserFacingError("training.no_notes", split="first")
    return SharedNotesScorer(
        LoadedBase(folder, state=state), chosen, tasks, settings.max_tokens, settings.loss_on, spec.prompt
    )
