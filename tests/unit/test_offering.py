# SPDX-License-Identifier: Apache-2.0
"""Offers tell that there was an approval, and nothing by which a guess of who gave it could be checked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fedmed_desktop.site.offering import offer
from fedmed_desktop.storage.audit import Audit
from fedmed_desktop.storage.chain import linked
from tests.parts.site import Site, plan


def test_that_who_guesses_the_person_and_the_time_of_an_approval_cannot_check_the_guess(tmp_path: Path) -> None:
    """The coordinator has all else that the row of the first approval holds."""
    told = []
    for name in "AB":
        site, audit = Site(tmp_path / name), Audit(tmp_path / name / "audit.sqlite", "site", name)
        entry = site.until_asked(plan())
        site.decide(by="ann")
        site.wait(timedelta(minutes=1))
        (row, *_) = site.outbox.decisions()
        guess = linked(
            *("", row.time.isoformat(), entry.sha256, 1, "approved", "ann", "read it", entry.update.content_sha256),
            *(row.rule, row.policy),
        )
        assert site.outbox.approval(entry.sha256) == guess
        told.append(offer(entry.update, 1, site.outbox, audit).approval)
        assert told[-1] != guess
        site.crash()
        assert offer(entry.update, 1, site.outbox, audit).approval == told[-1]
        audit.close()
        site.close()
    assert told[0] != told[1]
