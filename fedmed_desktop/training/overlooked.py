# SPDX-License-Identifier: Apache-2.0
"""Parts of a site's notes that a round does not use: pieces too long, and labels that are learned but not scored."""

from __future__ import annotations

from collections.abc import Iterator

from .batches import Examples

Overlooked = tuple[str, dict[str, str | int | float]]
"""The code of a sentence, and its parameters."""


def overlooked(train: Examples, validation: Examples, max_tokens: int) -> Iterator[Overlooked]:
    """A sentence for each, for the site's operator."""
    if left_out := len(train.left_out) + len(validation.left_out):
        yield "training.pieces_left_out", {"pieces": left_out, "tokens": max_tokens}
    taught, scored = ([source.task.name for source in one.sources] for one in (train, validation))
    if unscored := [name for name in dict.fromkeys(taught) if name not in scored]:
        yield "training.tasks_not_scored", {"tasks": ", ".join(unscored)}
