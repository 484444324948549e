# SPDX-License-Identifier: Apache-2.0
"""Words on a model that was fitted to one site's notes: the verdict, and the card beside its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import disk_fault
from ..federation import FederationSpec
from ..federation.fitted import Outcome
from .model_card import CARD, UNFIT, front
from .translation import tr


def verdict(found: Outcome) -> str:
    """Says whether anything was gained. The share was taken for its loss: the model may find no more, or less."""
    if not found.has_gained:
        return tr("Nothing was gained: the common model is as good on your notes.")
    if found.before is None or found.after is None:
        return tr("Fitted: on your validation notes it is surer of the right answers than the common model.")
    before, after = round(100 * found.before), round(100 * found.after)
    if after > before:
        said = tr("Fitted: {after} of 100 found correctly on your validation notes, {before} with the common model.")
    elif after == before:
        said = tr(
            "Fitted: it is surer of the right answers, but finds no more: {after} of 100 on your validation notes."
        )
    else:
        said = tr(
            "Fitted: it is surer of the right answers, but finds less: {after} of 100 on your validation notes, "
            "{before} with the common model."
        )
    return said.format(after=after, before=before)


def write_fitted_card(folder: Path, spec: FederationSpec, outcome: Outcome, base_model: str) -> None:
    """Writes the card into a PEFT folder. Raises UserFacingError."""
    try:
        (folder / CARD).write_text("\n".join(_lines(spec, outcome, base_model)) + "\n", encoding="utf-8")
    except OSError as error:
        raise disk_fault(error, folder) from error


def _lines(spec: FederationSpec, outcome: Outcome, base_model: str) -> Iterator[str]:
    yield from front(spec, base_model, f"{spec.name}, fitted to one site")
    yield ""
    yield (
        "**Keep it at this site.** The federation's common adapter was trained on here, with this site's notes alone. "
        "Nobody has looked at what it may reveal of them, and no privacy budget holds for it."
    )
    yield from ("", "| | |", "| --- | --- |")
    yield f"| Tasks | {', '.join(spec.tasks)} |"
    yield f"| Entity types | {', '.join(spec.types) or 'none'} |"
    yield f"| Base model, sha256 | {spec.base.fingerprint} |"
    yield f"| Share of the way to an adapter of these notes alone | {outcome.share:.0%} |"
    yield f"| Validation notes of this site, by which the share was chosen | {outcome.notes:,} |"
    if outcome.after is not None and outcome.before is not None:
        yield f"| Score on them, and the common adapter's | {outcome.after:.3f}, {outcome.before:.3f} |"
    yield from ("", f"Not measured: {UNFIT}.")
