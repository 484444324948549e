# SPDX-License-Identifier: Apache-2.0
"""A federation as its host sees it: the plain verdict, one line for each site, and what is asked before an act."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fedmed_desktop.desktop.hosting.acts import Wish, done, on_federation, question
from fedmed_desktop.desktop.hosting.sites import invitation_texts, line, lines, ordered, verdict
from fedmed_desktop.overview import InvitationRow
from tests.parts.scene import NOW
from tests.ui.scenes_of_hosting import SITES, overview, result, site


def test_that_the_verdict_is_how_many_have_sent_and_when_the_round_closes() -> None:
    told = verdict(overview(updates=2, sites=SITES[:2]), "connected", NOW)
    assert told.words == "2 of 4 sites have sent" and told.tone == "ok"
    assert "Round 3 of 10 needs 2 updates" in told.sentence and "It closes at " in told.sentence
    assert verdict(overview(updates=1, sites=()), "connected", NOW).tone == "dim"


def test_that_a_site_that_waits_for_the_host_is_told_with_the_verdict() -> None:
    assert "1 site waits until you" in verdict(overview(), "connected", NOW).sentence


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"phase": "gathering", "sites": ()}, "Waiting for the first site"),
        ({"phase": "gathering", "sites": SITES[:1]}, "1 of 4 sites have joined"),
        ({"phase": "combining"}, "round 3 are being combined"),
        ({"phase": "evaluating"}, "final adapter is being scored"),
        ({"phase": "finished"}, "has finished"),
        ({"phase": "paused"}, "Round 3 has stopped"),
        ({"paused_by_host": True}, "Paused by a host"),
        ({"held_up": "storage.disk_full"}, "coordinator has to wait"),
    ],
)
def test_that_each_phase_has_its_plain_words(known: dict[str, object], words: str) -> None:
    assert words in verdict(overview(**known), "connected", NOW).words


def test_that_a_connection_that_is_not_there_comes_before_all_else() -> None:
    assert "Connecting" in verdict(None, "connecting", NOW).words
    assert "confirmed" in verdict(None, "waiting", NOW).words
    refused = verdict(None, "refused", NOW, "You are no host.")
    assert refused.tone == "bad" and refused.sentence == "You are no host."
    lost = verdict(overview(), "lost", NOW, "Nobody answers.")
    assert "No connection" in lost.words and "from before" in lost.sentence and "Nobody answers." in lost.sentence


def test_that_a_line_has_progress_connection_rank_score_and_when_the_site_was_heard() -> None:
    assert line(SITES[0], NOW).texts[:5] == ("Harbour Clinic", "Sent", "Yes", "16", "55 → 66 of 100")
    assert line(SITES[0], NOW).texts[5] == "now"
    away = line(SITES[4], NOW)
    assert away.texts[1:4] == ("Offline", "No", "8") and ":" in away.texts[5]
    assert "no progress for 12 min" in line(SITES[3], NOW).texts[1]
    fresh = line(site("New", word=None, connected=False, rank=None), NOW)
    assert fresh.texts == ("New", "Has not connected yet", "No", "–", "–", "–")
    unscored = result(0.1, 0.2).model_copy(update={"score_before": None, "score_after": None})
    assert line(site("X", result=unscored), NOW).texts[4] == "loss 1.07"


def test_that_sites_that_wait_come_first_and_removed_ones_last() -> None:
    seen = overview(sites=(site("A", state="revoked", word=None), *SITES))
    assert (ordered(seen)[0].name, ordered(seen)[-1].name) == ("Mercy General", "A")
    assert [row.texts[0] for row in lines(seen, NOW)] == [one.name for one in ordered(seen)]


def test_that_an_invitation_says_for_whom_and_until_when_it_is() -> None:
    row = InvitationRow(name="North", until=NOW + timedelta(days=2), rotates=True, role="host")
    name, until = invitation_texts(row, NOW)
    assert "North" in name and "new key" in name and "host" in name and until


def test_that_an_act_names_what_the_person_saw() -> None:
    wish = on_federation("close", overview(attempt=2))
    assert (wish.round, wish.attempt, wish.adapter) == (3, 2, overview().adapter)


def test_that_what_cannot_be_taken_back_is_asked_with_what_follows_and_the_rest_is_not() -> None:
    seen = overview(updates=3)
    publish = question(on_federation("publish", seen), seen)
    assert publish is not None and "round 2" in publish.title and "cannot be undone" in publish.text
    close = question(on_federation("close", seen), seen)
    assert close is not None and "updates that have come: 3" in close.text and "1 site that has not sent" in close.text
    gathering = question(on_federation("close", seen), overview(phase="gathering"))
    assert gathering is not None and "first round begins" in gathering.text
    remove = question(Wish("revoke", site="Lakeview"), seen)
    assert remove is not None and remove.title == "Remove Lakeview?" and "still counts" in remove.text
    open_ = question(Wish("revoke", site="Northfield"), seen)
    assert open_ is not None and "Take back the invitation" in open_.title
    assert question(on_federation("pause", seen), seen) is not None
    assert question(on_federation("resume", seen), seen) is None
    assert done(Wish("confirm", site="North")) == "North is admitted."
