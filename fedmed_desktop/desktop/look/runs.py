# SPDX-License-Identifier: Apache-2.0
"""Work of minutes that a person has started, as a card shows it: the verdict in a sentence, then a table. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...wording import tr

State = Literal["waiting", "stopped", "failed"]


@dataclass(frozen=True)
class RunView:
    """`share` of the work that is done, None while that is not known or nothing runs."""

    verdict: str
    tone: str
    sentence: str = ""
    share: float | None = None
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def without_result(state: State, failed: str, why: str) -> RunView:
    """View of work that waits, was stopped or has failed; `failed` says so in two words, `why` in a sentence."""
    match state:
        case "waiting":
            return RunView(tr("Waiting"), "dim", tr("It begins as soon as this computer has time for it."))
        case "stopped":
            return RunView(tr("Stopped"), "warn", tr("Nothing was kept."))
    return RunView(failed, "bad", why)
