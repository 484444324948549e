# SPDX-License-Identifier: Apache-2.0
"""A model's folder, looked into. Not for the GUI thread."""

from __future__ import annotations

from ...lora.base_model import decoder_linears, weight_files
from ...wording import amount, tr
from ..look.fields import Verdict
from .verdicts import folder_of, judged


def look_at_model(typed: str) -> Verdict:
    """Reads the headers of the weights, not the weights: milliseconds on a disk, seconds on a network share."""
    return judged(typed, _model)


def _model(typed: str) -> str:
    folder = folder_of(typed)
    size = sum(path.stat().st_size for path in weight_files(folder))
    layers = len(decoder_linears(folder))
    return tr("A model of {amount} with %n layer(s) to adapt.", "", layers).format(amount=amount(size))
