# SPDX-License-Identifier: Apache-2.0
"""Duration of a demonstration, and the steps of preparation before its first round. No Qt."""

from __future__ import annotations

from typing import Final

from ...wording import together, tr
from ..work.desk import Desk

# Measured without windows: 268 s of one core (packaging/benchmarks/results/demonstration.md); with windows, which leave
# one of two to the screen, there are 30 s of probes too. The first decision waits for one site's training, two scorings
# and its probes: inferred. A longer one, scaled: it takes 421 s of both cores without windows, the usual one 167 s.
DEMO_MINUTES: Final = 5
FIRST_MINUTES: Final = 1
LONGER_MINUTES: Final = 12
LONGER_FIRST_MINUTES: Final = 2


def preparing(desk: Desk) -> str:
    """Sentence on the preparation under way; of a demonstration step by step, since nothing else moves meanwhile."""
    if not desk.is_demo:
        return tr("Reading your notes and loading the base model.")
    if desk.connection is None:
        now = tr("Step 1 of 3: loading what training needs, and reading the example notes of three sites.")
    elif desk.joined is None:
        now = tr("Step 2 of 3: the coordinator starts, and the sites connect to it.")
    else:
        now = tr("Step 3 of 3: loading the small model and preparing the notes for it.")
    longer = desk.session is not None and desk.session.longer
    minutes, first = (LONGER_MINUTES, LONGER_FIRST_MINUTES) if longer else (DEMO_MINUTES, FIRST_MINUTES)
    whole = tr("The whole demonstration takes about {minutes} minutes; your first decision comes after about {first}.")
    return together(now, whole.format(minutes=minutes, first=first))
