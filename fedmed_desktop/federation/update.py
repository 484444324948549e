# SPDX-License-Identifier: Apache-2.0
"""Updates: named blobs and a report of scalars, which a site offers after its part of a round. Nothing else leaves."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from ..bounds import Count, PositiveInt, Scalar, Share
from ..lora.module import MAX_NAME_LENGTH
from ..scores import AS_SIGNED, Scores
from .values import Frozen, Sha256


class Part(Frozen):
    """One blob of an update: its hash and its length in bytes."""

    sha256: Sha256
    size: PositiveInt


class Report(Frozen):
    """Every scalar of an update; guide/leaves.md lists exactly these.

    Losses are nats per supervised token on the site's own validation notes; norms are Frobenius norms of delta W.
    `notes` were learned from, or scored: those without a label for any task weigh nothing.
    `supervised_tokens` counts the labels of one pass over the training notes (Fed-MedLoRA's weight).
    `shared_loss` is the loss of the site's own model, after training, on the specification's shared notes.
    `importance`: each module's share of what the training's gradients say that it matters (training.importance), if the
    plan asks for that.
    `histogram` counts training notes by specialty, or entities by type, if the specification shares that.
    `epsilon_spent` and `epsilon_left`: of the privacy budget, after this training, where the specification has one; a
    report without them looks as it did before there was one, so that what was signed then still holds.
    """

    kind: Literal["train", "evaluate"] = "train"
    notes: Count
    supervised_tokens: Count = 0
    steps: Count = 0
    train_loss: Scalar | None = None
    loss_before: Scalar | None = None
    loss_after: Scalar | None = None
    shared_loss: Scalar | None = None
    histogram: dict[Annotated[str, Field(max_length=80)], Count] = Field({}, max_length=200)
    scores_before: Scores = Scores()
    scores_after: Scores = Scores()
    start_norm: Scalar = 0.0
    update_norm: Scalar = 0.0
    effective_rank: Scalar = 0.0
    importance: dict[Annotated[str, Field(max_length=MAX_NAME_LENGTH)], Share] = Field(
        {}, max_length=100_000, exclude_if=lambda value: not value
    )
    seconds: Scalar = 0.0
    epsilon_spent: Scalar | None = Field(None, exclude_if=lambda value: value is None)
    epsilon_left: Scalar | None = Field(None, exclude_if=lambda value: value is None)


class Update(Frozen):
    """One site's parts and report in one round."""

    round: PositiveInt
    parts: dict[str, Part]
    report: Report

    @property
    def sha256(self) -> Sha256:
        """Identity of the update: a hash over its parts or, if it has none, over its report without timings.

        So a repeated training has the same identity.
        """
        content: object = {name: part.sha256 for name, part in self.parts.items()}
        if not self.parts:
            content = self.report.model_dump(mode="json", exclude={"seconds"}, context=AS_SIGNED)
        text = json.dumps([self.round, content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def content(self) -> bytes:
        """Everything that a person decides on, as JSON: the parts by their hashes, and every scalar of the report."""
        return self.model_dump_json(context=AS_SIGNED).encode()

    @property
    def content_sha256(self) -> Sha256:
        """Hash of `content`, which the record of decisions has."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(part.size for part in self.parts.values())
