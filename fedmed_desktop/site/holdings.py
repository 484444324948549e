# SPDX-License-Identifier: Apache-2.0
"""Blobs of a site: those that a plan needs, those that it keeps of a round, and its final models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..federation import Given, LocalResult, Plan
from ..lora import Adapter, Module, algebra
from ..storage import BlobStore
from ..storage.outbox import Outbox, Record
from ..storage.own import OwnStore
from .fitted import FINAL, OWN

# Beyond every round: what was kept last, whichever round that was of.
_LATEST = 2**31


class Holdings:
    """A site's blobs and its own parts. File work: off the event loop. Raises UserFacingError (damaged, disk full)."""

    def __init__(self, blobs: BlobStore, outbox: Outbox, own: OwnStore) -> None:
        self._blobs = blobs
        self._outbox = outbox
        self._own = own

    def given(self, plan: Plan) -> Given:
        """All that the plan names, which must be here, and what this site kept of earlier rounds."""
        counted = frozenset(entry.plan.round for entry in self._outbox.in_state("acknowledged"))
        own = self._own.before(plan.round, counted)
        self._own.forget_before(plan.round, counted)
        control = plan.variate.control if plan.variate else None
        return Given(
            start=self.adapter(plan.start),
            frozen=self.adapter(plan.frozen) if plan.frozen else None,
            control=self.adapter(control) if control else None,
            own=own,
        )

    def keep(self, plan: Plan, result: LocalResult) -> None:
        """Stores the site's own parts, before the update is in the outbox: a crash in between repeats the training."""
        self._own.keep(plan.round, result.own)

    def adapter(self, sha256: str) -> Adapter:
        return Adapter.from_blob(self._blobs.read(sha256))

    def own_paths(self) -> dict[str, Path]:
        """Files of the site's own parts that its model is read with, by name ("B", "personal")."""
        return self._own.paths_before(_LATEST)

    def final(self, sha256: str, frozen: str | None) -> Adapter:
        """The federation's final model as one adapter: `frozen` is stacked on it, so the ranks add up."""
        return as_one(self.adapter(sha256), self.adapter(frozen) if frozen else None)

    def own_final(self, sha256: str, frozen: str | None) -> Adapter | None:
        """The same with this site's own parts; None where it has none."""
        own = self._own.before(_LATEST, ())
        if not own:
            return None
        return as_one(with_own_b(self.adapter(sha256), own), self.adapter(frozen) if frozen else None, own)

    def save_final(self, record: Record, folder: Path, base_model: str) -> dict[str, Path]:
        """PEFT folders by name: `final`, and `this-site` where this site has a model of its own.

        Raises UserFacingError, OSError.
        """
        assert record.final is not None
        models = {
            FINAL: self.final(record.final, record.final_frozen),
            OWN: self.own_final(record.final, record.final_frozen),
        }
        for name, model in models.items():
            if model is not None:
                model.save_peft(folder / name, base_model)
        return {name: folder / name for name, model in models.items() if model is not None}


def with_own_b(adapter: Adapter, own: Mapping[str, Adapter]) -> Adapter:
    """The adapter with the site's own B where it has one; modules of another rank stay as they are."""
    mine = own.get("B")
    if mine is None:
        return adapter
    return Adapter(
        {
            name: Module(mine[name].B, module.A, module.scale)
            if name in mine and mine[name].B.shape == module.B.shape
            else module
            for name, module in adapter.items()
        }
    )


def as_one(adapter: Adapter, frozen: Adapter | None, own: Mapping[str, Adapter] | None = None) -> Adapter:
    """One adapter whose delta W is the sum of all that is active: what other programs can load as a PEFT folder."""
    beside = [frozen, (own or {}).get("personal")]
    terms = [(1.0, adapter), *((1.0, one) for one in beside if one is not None)]
    return algebra.weighted_sum(terms) if len(terms) > 1 else adapter
