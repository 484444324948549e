# SPDX-License-Identifier: Apache-2.0
"""Agreement of a person before this site takes part: who hosts, which federation, and what this one shares. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ...federation import FederationSpec
from ...wording import later, task_name, tr
from ...wording.whole_sites import whole_sites
from ..work.desk import Desk

_UNBROKEN: Final = 60  # letters; a shorter value stays on one line
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_COUNTS: Final = {
    "specialties": later("how many of your training notes are of each specialty"),
    "types": later("how many entities of each type your training notes have"),
}


@dataclass(frozen=True)
class Agreement:
    """`facts`: names and values; `shares`: each thing that leaves with an update, once that was approved.

    `hidden`: what hides the whole site, and what it will cost; "" where nothing does.
    """

    facts: tuple[tuple[str, str], ...]
    shares: tuple[str, ...]
    hidden: str = ""


def agreement(desk: Desk, method: Callable[[str], str]) -> Agreement | None:
    """The agreement that is asked for; `method` names one as people know it. None where nothing is asked, or not yet:
    the specification is known once the coordinator has told it.
    """
    spec, session = desk.spec, desk.session
    if not desk.asks_agreement or spec is None or session is None or not desk.running:
        return None
    facts = _facts(desk, spec, urlsplit(session.address).netloc, method(spec.method.name))
    return Agreement(tuple(facts), tuple(_shares(spec)), whole_sites(spec))


def _facts(desk: Desk, spec: FederationSpec, host: str, method: str) -> list[tuple[str, str]]:
    words = {"test": tr("a test: its results do not count"), "production": tr("real work: its results count")}
    sites = desk.joined.sites if desk.joined else 0
    facts = [
        (tr("Host", "who hosts"), host),
        (tr("Federation"), spec.name),
        (tr("What for"), words[spec.environment]),
        (tr("Tasks"), ", ".join(task_name(task) for task in spec.tasks)),
        (tr("Types"), ", ".join(kind.replace("_", " ") for kind in spec.types)),
        (tr("Method"), method),
        (tr("Rounds"), str(spec.rounds)),
        (tr("Sites expected"), str(sites) if sites else ""),
    ]
    return [
        (fact, value if len(value) > _UNBROKEN else value.replace(" ", _NO_BREAK)) for fact, value in facts if value
    ]


def _shares(spec: FederationSpec) -> list[str]:
    rank = tr("a trained adapter of rank {rank}").format(rank=spec.lora.rank)
    shares = [rank, tr("how many notes it was trained on, and how large the errors were (loss)")]
    if spec.share.scores and spec.score_on == "answers":
        shares.append(tr("how much the model finds correctly in your notes (scores)"))
    if spec.share.histogram in _COUNTS:
        shares.append(tr(_COUNTS[spec.share.histogram]))
    if "importance" in spec.method.needs:
        shares.append(tr("how much each part of the adapter mattered in training (one number for each matrix)"))
    if spec.shared_notes:
        shares.append(tr("its loss on the federation's public notes"))
    return shares
