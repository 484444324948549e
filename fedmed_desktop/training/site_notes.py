# SPDX-License-Identifier: Apache-2.0
"""Notes of a site in tokens, as they are taught and as they are asked about."""

from __future__ import annotations

from typing import Final, Literal

from ..clinical import SiteNotes
from ..federation.plan import TrainingSettings
from .base import BaseModel
from .batches import Encoder, Examples

Split = Literal["train", "validation", "test"]


class EncodedNotes:
    """The splits of one site; each is encoded once for a length, for all rounds."""

    def __init__(self, base: BaseModel, encoder: Encoder, notes: SiteNotes) -> None:
        self._base, self._encoder = base, encoder
        self.splits: Final = {"train": notes.train, "validation": notes.validation, "test": notes.test or []}
        self._encoded: dict[tuple[Split, int, bool], Examples] = {}

    def taught(self, split: Split, settings: TrainingSettings) -> Examples:
        """Examples of what the tasks teach about a split's notes."""
        return self._encode(split, settings, reading=False)

    def asked(self, split: Split, settings: TrainingSettings) -> Examples:
        """Questions that the tasks ask about a split's notes."""
        return self._encode(split, settings, reading=True)

    def _encode(self, split: Split, settings: TrainingSettings, *, reading: bool) -> Examples:
        key = (split, self._base.room(settings.max_tokens), reading)
        if key not in self._encoded:
            self._encoded[key] = self._encoder.encode(self.splits[split], key[1], reading=reading)
        return self._encoded[key]
