# SPDX-License-Identifier: Apache-2.0
"""All probes of one round, one after the other, within the site's bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...clinical import Note
from ...federation.plan import Plan
from ...federation.probes import Missing, ProbeName, Probes, Probing
from ...federation.work import Control
from ..base import BaseModel
from ..batches import Encoder, Examples
from ..starting import SiteAdapters
from .budget import Budget
from .canaries import Planted, exposures
from .membership import membership
from .rare_strings import rare_strings
from .reader import Reader
from .recall import recall
from .sample import items, seen, shuffled

# Shares of the time that is left when each begins. Rare strings take little and are rarely there; canaries go last.
_SHARES = {"rare": 0.25, "membership": 0.6}


@dataclass(frozen=True)
class Round:
    """A training that has ended: its plan, what it was trained on and what was held out, in tokens.

    `after` and `before`: the model with this round's update, as it was offered, and without it; both without what the
    site keeps. `steps` and `seconds` are the training's. `planted`: records among the examples of `trained`.
    """

    plan: Plan
    trained: Examples
    held_out: Sequence[Examples]
    after: SiteAdapters
    before: SiteAdapters
    steps: int
    seconds: float
    planted: Sequence[Planted] = field(default_factory=tuple)


def probed(base: BaseModel, made: Round, settings: Probing, control: Control) -> Probes:
    """Results of all probes that the bounds allow. Raises Stopped; a probe that finds nothing to measure says why."""
    budget = Budget(settings.seconds(made.seconds), control)
    reader = Reader(base, made.after, made.before, settings.memory_mib)
    plain, seed = Encoder(base.tokenizer, ()), made.plan.seed
    times = seen(made.trained, made.plan.training, seed, made.steps)
    real = len(made.trained.items) - sum(len(one.places) for one in made.planted)
    trained = items(made.trained, [place for place in times if place < real])
    held_out = [item for examples in made.held_out for item in items(examples)]
    notes = _notes(item.note for item in shuffled(trained, seed))
    others = _notes(item.note for item in shuffled(held_out, seed))
    missing: dict[ProbeName, Missing] = {}

    rare = rare_strings(reader, plain, notes, seed, budget.part(_SHARES["rare"]))
    member = membership(reader, trained, held_out, made.plan.training.loss_on, seed, budget.part(_SHARES["membership"]))
    recalled = recall(reader, plain, notes, others, budget.part(0.6 if made.planted else 1.0))
    canaries = exposures(reader, plain, made.planted, times, seed, budget) if made.planted else ()
    if isinstance(rare, str):
        missing["rare"] = rare
    if isinstance(member, str):
        missing["membership"] = member
    if isinstance(recalled, str):
        missing["recall"] = recalled
    if not canaries:
        missing["canaries"] = "no_time" if made.planted else "off"
    return Probes(
        membership=None if isinstance(member, str) else member,
        recall=None if isinstance(recalled, str) else recalled,
        rare=None if isinstance(rare, str) else rare,
        canaries=canaries,
        missing=missing,
        limits=settings.limits,
        seconds=round(budget.used, 3),
    )


def _notes(notes: Iterable[Note]) -> list[Note]:
    """Each note once: several tasks may have asked about it, and about parts of it."""
    return list({(note.id, note.text): note for note in notes}.values())
