# SPDX-License-Identifier: Apache-2.0
"""Agents of all sites that have an invitation in a folder, in one process: says which round has begun, and the end.

python agents.py FOLDER          # with a file `invitations`; run by endurance.py
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

from raw_lines import say
from rounds import FINGERPRINT, Ready, start

from fedmed_desktop import events
from fedmed_desktop.federation import LocalResult
from fedmed_desktop.protocol.invitation import read_invitation
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent

TRAINING: Final = 0.1  # seconds of each site; one trains at a time


class Quick(Ready):
    """A trainer that takes a moment: with none at all a site would say more in a second than sites may."""

    def train_round(self, *given: Any) -> LocalResult:
        time.sleep(TRAINING)
        return super().train_round(*given)


def main() -> int:
    folder, begun = Path(sys.argv[1]), 0

    def emit(event: events.Event) -> None:
        nonlocal begun
        if isinstance(event, events.PhaseChanged) and event.round > begun:
            begun = event.round
            say(f"round {begun} of")

    async def take_part() -> None:
        jobs, initial = Jobs(), start(0)
        runs = []
        for line in (folder / "invitations").read_text().splitlines():
            invitation = read_invitation(line)
            trainer = Quick(initial, invitation.site)
            agent = SiteAgent(
                name=invitation.site,
                address=invitation.url,
                invitation=invitation,
                data_dir=folder / invitation.site,
                base_fingerprint=FINGERPRINT,
                make_trainer=lambda spec, trainer=trainer: trainer,
                approver=RuleApprover("benchmark"),
                jobs=jobs,
                emit=emit,
            )
            runs.append(agent.run())
        await asyncio.gather(*runs)
        jobs.close()

    asyncio.run(take_part())
    say("finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
