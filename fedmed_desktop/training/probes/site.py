# SPDX-License-Identifier: Apache-2.0
"""Probes of one site: records planted before a round's training if the site wants that, and what is found after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...federation.plan import Plan
from ...federation.probes import Probes, Probing
from ...federation.work import Control
from ..base import BaseModel
from ..batches import Encoder, Examples
from ..starting import SiteAdapters
from .canaries import Planted, plant
from .run import Round, probed


@dataclass(frozen=True)
class Taught:
    """Examples of a round: the site's examples and, behind them, what was planted."""

    examples: Examples
    planted: Sequence[Planted] = ()


class SiteProbes:
    """Probes by the site's own settings, which are asked for anew in each round. None: nothing is looked at."""

    def __init__(self, base: BaseModel, probing: Callable[[], Probing] | None) -> None:
        self._base, self._probing = base, probing

    def taught(self, examples: Examples, plan: Plan) -> Taught:
        """The examples with what is planted; nothing is where differential privacy counts each record."""
        if self._probing is None or plan.training.privacy is not None or not self._probing().canaries:
            return Taught(examples)
        return Taught(*plant(self._base.tokenizer, Encoder(self._base.tokenizer, ()), examples, plan.seed))

    def found(
        self,
        plan: Plan,
        taught: Taught,
        held_out: Sequence[Examples],
        after: SiteAdapters,
        before: SiteAdapters,
        steps: int,
        seconds: float,
        control: Control,
    ) -> Probes | None:
        """Findings about an update; `steps` and `seconds` are its training's. Raises Stopped.

        The adapters are those that others can have: a personal one, which never leaves, does not act.
        """
        if self._probing is None:
            return None
        sent = [replace(adapters, personal=None) for adapters in (after, before)]
        made = Round(plan, taught.examples, held_out, sent[0], sent[1], steps, seconds, taught.planted)
        return probed(self._base, made, self._probing(), control)
