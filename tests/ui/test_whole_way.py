# SPDX-License-Identifier: Apache-2.0
"""A hospital's whole way, from the first start to the final adapter, as one person sees and clicks it.

The coordinator and two partner sites are processes of their own, joined by invitation over TLS; all three sites train
a small model for real. The host's part (invite, compare, confirm) is done by the commands that a host has.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

    from fedmed_desktop.federation.work import Entry
    from tests.parts.hand import Hand
    from tests.parts.ui import Desktop, words
    from tests.ui.hosting import Coordinator, PartnerProcess, command, found

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NAME = "Ruth Okafor"
REASONS = ("Scores looked at, nothing remembered.", "As in round 1; still nothing remembered.", "Counts only.")
SIX_WORDS = r"[a-z]+(-[a-z]+){5}"
NOTE = "Aspirin was given 7 times and helped ."


def write_tables(folder: Path, drug: str) -> Path:
    """Notes as a hospital exports them: tables whose columns have the hospital's names."""
    folder.mkdir(parents=True)
    for split, count in (("train", 6), ("validation", 2), ("test", 2)):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Note ID", "Subject ID", "Report text", "Spans", "Ward"])
            for number in range(count):
                text = f"{drug} was given {number} times and helped in {split} ."
                spans = json.dumps([{"start": 0, "end": len(drug), "type": "drug"}])
                table.writerow([f"{split}{number}", f"{split}-{number}", text, spans, "3 West"])
    return folder


@pytest.fixture
def host(tmp_path: Path, tiny_model: Path, coordinator: Callable[[Path], Coordinator]) -> Coordinator:
    """The federation's coordinator; it listens once `start` has been called."""
    spec = found(tmp_path / "federation", tiny_model, rounds=2, sites=3, quorum=3)
    made = coordinator(spec)
    where = f"127.0.0.1:{made.port}"
    made.start("--host", "127.0.0.1", "--tls", "--public-address", where, "--confirm-sites")
    return made


@pytest.fixture
def partners() -> Iterator[list[PartnerProcess]]:
    started: list[PartnerProcess] = []
    yield started
    for one in started:
        one.kill()


class Host:
    """What the person at the host's computer does."""

    def __init__(self, coordinator: Coordinator, folder: Path) -> None:
        self._data, self._folder = str(coordinator.data), folder

    def invite(self, site: str) -> str:
        return command("--invite", site, "--data-dir", self._data, "--out", str(self._folder)).strip()

    def words_of(self, site: str) -> str:
        known = json.loads(command("--sites", "--data-dir", self._data, "--json"))["sites"]
        return next((one["words"] for one in known if one["name"] == site), "")

    def confirm(self, site: str) -> None:
        command("--confirm", site, "--data-dir", self._data)


def first_run(one: Desktop, hand: Hand, invitation: str, notes: Path) -> None:
    """Four pages: what for, this computer, the invitation pasted, the notes checked."""
    page = one.window.pages.home.currentWidget()
    hand.click(page.purpose.buttons["join"])
    one.until(lambda: len(page.computer.rows) == 4)
    hand.click(page.on)
    hand.paste(page.invitation.where.fields["invitation"].line, f"Dear colleague, here it is: {invitation}")
    one.until(page.on.isEnabled)
    assert "127.0.0.1" in words(page.invitation) and "North" in words(page.invitation)
    hand.click(page.on)
    hand.click(page.notes.field.line)
    hand.type(str(notes))
    one.until(page.on.isEnabled)
    seen = words(page.notes.report)
    assert "10 notes" in seen and "can be used as they are" in seen, "the report of the check"
    assert "Report text" in seen and "Spans" in seen and "Ward" in seen, "which column became what"
    hand.click(page.on)


def join(one: Desktop, hand: Hand, model: Path) -> None:
    """What is left of the form: the model; three of the notes are shown with their entities marked."""
    form = one.window.join
    assert form.isVisible() and one.window.focusWidget() is form.fields["model"].line
    hand.type(str(model))
    one.until(form.join.isEnabled)
    shown = [row.text.toPlainText() for row in form.preview.rows if row.isVisible()]
    assert len(shown) == 3 and all(text.startswith("Aspirin drug was given") for text in shown)
    hand.click(form.join)


def compare_words(one: Desktop, hand: Hand, host: Host) -> None:
    """By phone, with what the host's command lists; then the host admits the site."""
    one.until_state("unconfirmed")
    one.window.show_now()
    card = one.window.rounds.session.identity
    assert card.words.text() == host.words_of("North") and len(card.words.text().split("-")) == 6
    host.confirm("North")
    one.until(card.same.isVisible)
    hand.click(card.same)
    one.until(lambda: not card.isVisible())


def admit(one: Desktop, host: Host, site: str, partner: PartnerProcess) -> None:
    """A partner reads its six words out of its log."""
    one.until(lambda: re.search(SIX_WORDS, partner.said()) is not None)
    words_there = host.words_of(site)
    assert re.fullmatch(SIX_WORDS, words_there) and words_there in partner.said()
    host.confirm(site)


def agree(one: Desktop, hand: Hand) -> None:
    one.until_state("agreement")
    one.window.show_now()
    said = one.text("rounds")
    assert "What you agree to" in said and "Never: words of notes" in said
    hand.click(one.window.rounds.session.status.button)


def read_evidence(one: Desktop, entry: Entry) -> None:
    """Four cards, each with what was found; the bytes that would leave are those that were measured."""
    view, sha256 = one.window.approvals.view, entry.update.parts["adapter"].sha256
    for card in (view.leaves, view.worth, view.differs, view.reveals):
        assert card.isVisible() and len(words(card).splitlines()) > 3, words(card)
    assert f"{sha256[:4]} {sha256[4:8]}" in words(view.head)
    assert "none" in words(view.leaves) and "2 of your notes" in words(view.worth)


def approve(one: Desktop, hand: Hand, entry: Entry, reason: str, *, by_keys: bool) -> None:
    """With a reason and a name, by mouse or by keys alone; Enter sends nothing; then the receipt comes."""
    form = one.window.approvals.decision.form
    for finding in form.findings:
        if finding.isVisible():
            hand.click(finding.box)
    if by_keys:
        hand.tab_to(form.reason)
    else:
        hand.click(form.reason)
    hand.type(reason)
    if not form.name.text():
        hand.click(form.name)
        hand.type(NAME)
    one.until(form.send.isEnabled)
    hand.tab_to(form.send)
    hand.press(Qt.Key.Key_Return)
    assert one.state_of(entry.sha256) == "pending", "Enter never sends"
    if by_keys:
        hand.press(Qt.Key.Key_Space)
    else:
        hand.click(form.send)
    one.until(one.window.approvals.decision.countdown.isVisible)
    one.until_left(entry.sha256)
    assert one.state_of(entry.sha256) == "acknowledged"


def take_part(one: Desktop, hand: Hand, number: int) -> None:
    """One round: its training seen on Monitor, its update read and approved, its receipt in the table."""
    entry = one.until_asked()
    assert entry.plan.round == number and entry.update.report.notes == 6
    hand.keys("Ctrl+2")
    assert one.window.page == "monitor"
    one.until(lambda: len(one.curve()) == 4 * number)
    hand.keys("Ctrl+1")
    one.window.show_now()
    assert one.headline() == "Ready for your decision"
    hand.click(one.window.rounds.session.status.button)
    assert one.window.page == "approvals"
    read_evidence(one, entry)
    approve(one, hand, entry, REASONS[number - 1], by_keys=number == 2)
    assert REASONS[number - 1] in one.text("approvals") and "Received" in one.text("approvals")


def send_scores(one: Desktop, hand: Hand) -> None:
    """After the last round: what the final adapter finds in this site's test notes is asked for too, and decided on."""
    entry = one.until_asked()
    assert entry.plan.kind == "evaluate" and not entry.update.parts
    hand.keys("Ctrl+3")
    assert one.window.page == "approvals"
    approve(one, hand, entry, REASONS[2], by_keys=True)


def read_history(one: Desktop, hand: Hand) -> None:
    """All that was decided stands in the chain, which is whole, and each receipt holds."""
    hand.keys("Ctrl+6")
    page = one.window.history
    one.until(lambda: bool(page.view.lines))
    hand.click(page.verify)
    one.until(lambda: "Checked at" in page.banner.text())
    assert "is whole" in page.verdict.text() and one.text("history").count("Receipt checked") >= 2
    rows = page.view.rows.values()
    assert {*REASONS} <= {str(row["reason"]) for row in rows} and NAME in {str(row["actor_name"]) for row in rows}


def try_it(one: Desktop, hand: Hand) -> None:
    """A note that was typed is read with the federation's adapter."""
    hand.keys("Ctrl+4")
    page = one.window.trial
    one.window.show_now()
    hand.click(page.note.editor.viewport(), QPoint(20, 20))
    hand.type(NOTE)
    assert page.note.editor.toPlainText() == NOTE
    hand.click(page.head.read)
    one.until(lambda: page._run is not None and page._run.is_over)
    assert page._run is not None and not page._run.failures and "right" in page._run.readings
    assert page.sides["right"].text.toPlainText() == NOTE


@pytest.mark.usefixtures("words_cost_work")
def test_that_a_site_goes_from_the_first_start_to_the_final_adapter_by_mouse_and_keys(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, tiny_model: Path, host: Coordinator,
    partners: list[PartnerProcess],
) -> None:  # fmt: skip
    one, hand = Desktop(qtbot, qapp, tmp_path / "program", first_run=True), Hand()
    one.patience_ms = 120_000  # four processes train or wait beside each other
    try:
        one.begin()
        one.until(host.listens)
        person = Host(host, tmp_path)
        for site, drug in (("South", "Ibuprofen"), ("West", "Warfarin")):
            notes = write_tables(tmp_path / "notes" / site, drug)
            partners.append(PartnerProcess(tmp_path / site, person.invite(site), tiny_model, notes))
        first_run(one, hand, person.invite("North"), write_tables(tmp_path / "notes" / "North", "Aspirin"))
        join(one, hand, tiny_model)
        compare_words(one, hand, person)
        for site in ("South", "West"):
            admit(one, person, site, partners[("South", "West").index(site)])
        agree(one, hand)
        take_part(one, hand, 1)
        take_part(one, hand, 2)
        send_scores(one, hand)
        one.until(lambda: one.desk.record.final is not None)
        read_history(one, hand)
        try_it(one, hand)
        hand.keys("Ctrl+Q")
        one.until(lambda: one.is_closed)
        assert not one.unseen_faults()
    finally:
        one.close()
    assert [partner.ended() for partner in partners] == [0, 0]
    assert host.end() == 0
