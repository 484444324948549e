# SPDX-License-Identifier: Apache-2.0
"""Hosting: a federation is founded by the form, served by a real coordinator, found again, and stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.desktop.hosting import process
from fedmed_desktop.desktop.hosting.acts import Wish, on_federation
from fedmed_desktop.desktop.hosting.confirm_dialog import ConfirmDialog
from fedmed_desktop.desktop.hosting.files import found
from fedmed_desktop.desktop.hosting.form import HostForm
from fedmed_desktop.desktop.hosting.invite_dialog import InviteDialog
from fedmed_desktop.desktop.hosting.line import Answer
from fedmed_desktop.desktop.hosting.oversight import Oversight
from fedmed_desktop.desktop.hosting.page import HostingPage
from fedmed_desktop.desktop.hosting.sites import lines
from fedmed_desktop.desktop.join.picture import text_in
from fedmed_desktop.desktop.widgets.question import Question
from fedmed_desktop.desktop.work.hosted import Hosted, Inside
from fedmed_desktop.federation import load_spec
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import linears_in_files
from fedmed_desktop.protocol.hosting import Invited
from fedmed_desktop.protocol.invitation import Invitation, read_invitation
from fedmed_desktop.resources import resource
from tests.parts.ui import Desktop, words
from tests.ui.hosting import Partner


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def program(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Callable[..., Desktop]]:
    """Opens desktops on one folder that keep what is hosted; no coordinator outlives the test."""
    opened: list[Desktop] = []

    def open_(**options: bool) -> Desktop:
        one = Desktop(qtbot, qapp, tmp_path / "program", **options)
        one.window.hosts.look_inside = lambda model: Inside(None, "plain")
        opened.append(one)
        return one.begin()

    yield open_
    hosted = opened[-1].program.settings.values.hosted
    if hosted is not None:
        process.end(hosted)
    for one in opened:
        one.close()
        assert not one.unseen_faults()


def page(one: Desktop) -> HostingPage:
    return one.window.hosts.page


def fill(one: Desktop, port: int) -> None:
    """The form for this computer alone, as a person types it."""
    form = page(one).form
    form.reach.box.choose("here")
    one.type(form.fields["name"].line, "Riverside federation")
    one.type(form.fields["types"].line, "drug, problem")
    one.type(form.fields["port"].line, str(port))


def test_that_a_federation_is_founded_served_found_again_and_stopped(
    program: Callable[..., Desktop], port: int, tmp_path: Path
) -> None:
    first = program(first_run=True)
    first.click(first.window.pages.welcome().purpose.buttons["host"])  # the first run leads there too
    assert first.window.page == "hosting" and not page(first).found.isEnabled()
    fill(first, port)
    first.until(lambda: page(first).found.isEnabled())
    folder = tmp_path / "program" / "federations" / "riverside-federation"
    assert page(first).form.fields["folder"].text() == str(folder)
    first.click(page(first).found)
    first.until(lambda: page(first).state == "serving")
    assert f"127.0.0.1:{port}" in words(page(first)) and load_spec(folder / "federation.toml").types == (
        "drug",
        "problem",
    )
    first.until(lambda: page(first).oversight.line.connection == "connected")  # who founds it is its host
    assert "Waiting for the first site" in words(page(first))
    hosted = first.program.settings.values.hosted
    assert hosted is not None and psutil.pid_exists(hosted.pid)

    first.window.close()  # asks what is to become of it
    dialog = first.window.hosts.question
    assert dialog is not None and dialog.isVisible()
    first.click(dialog.yes)
    first.until(lambda: first.is_closed)
    assert process.is_running(hosted)

    second = program()
    second.program.settings.load()
    second.program.memory.restore()
    second.until(lambda: page(second).state == "serving")
    second.window.go("hosting")
    second.click(page(second).served.stop)
    question = second.window.hosts.question
    assert question is not None and "Nothing is lost" in words(question)
    second.click(question.yes)
    second.until(lambda: page(second).state == "stopped")
    assert not process.is_running(hosted) and "not served now" in words(page(second))
    second.close()  # nothing runs, so that nothing is asked


@pytest.mark.usefixtures("words_cost_work")
def test_that_its_host_invites_confirms_pauses_and_removes_and_is_told_what_is_refused(
    program: Callable[..., Desktop], port: int, tmp_path: Path
) -> None:
    """Against a real coordinator, over TLS, with a real site that waits to be confirmed."""
    one = program()
    one.click(one.window.rounds.empty.buttons[3])
    fill(one, port)
    one.until(lambda: page(one).found.isEnabled())
    one.click(page(one).found)
    oversight = page(one).oversight
    panel, line = oversight.panel, oversight.line
    one.until(lambda: line.connection == "connected")
    assert not panel.close_round.isEnabled() and "0 of the 2 sites" in words(panel)

    one.click(panel.invite)
    dialog = oversight.dialog
    assert isinstance(dialog, InviteDialog) and not dialog.make.isEnabled()
    one.type(dialog.name.line, "North")
    one.click(dialog.make)
    one.until(lambda: dialog.shown.isVisible())
    invitation = read_invitation(dialog.shown.line.text())
    assert (invitation.site, invitation.role) == ("North", "site")
    assert read_invitation(text_in(dialog.shown.picture.pixmap().toImage())) == invitation
    dialog.shown._save(str(tmp_path / "North.fedmed"))
    assert read_invitation((tmp_path / "North.fedmed").read_text("utf-8")) == invitation
    one.click(dialog.done_)
    one.until(lambda: panel.invitations.isVisible())

    site = Partner(tmp_path / "site", "", resource("demo_model"), invitation)
    site.start()
    try:
        one.until(lambda: bool(line.overview and line.overview.sites))
        panel.choose("North")
        one.click(panel.confirm)
        confirm = oversight.dialog
        assert isinstance(confirm, ConfirmDialog)
        assert confirm.words.text() == site.words() and len(confirm.words.text().split("-")) == 6
        one.click(confirm.same)
        one.until(lambda: "1 of 3 sites have joined" in words(panel))
        assert "North is admitted." in words(panel)

        one.click(panel.pause)
        assert isinstance(oversight.dialog, Question) and "No round begins" in words(oversight.dialog)
        one.click(oversight.dialog.yes)
        one.until(lambda: panel.resume.isVisible())
        oversight._ask(on_federation("pause", line.overview))  # as another host's, who has not seen it yet
        one.until(lambda: "paused already" in words(panel))
        one.click(panel.resume)
        one.until(lambda: panel.pause.isVisible())

        panel.choose("North")
        one.click(panel.remove)
        assert isinstance(oversight.dialog, Question)
        one.click(oversight.dialog.yes)
        one.until(lambda: "Removed" in [row.texts[1] for row in lines(line.overview, panel._clock())])
    finally:
        site.stop()
    one.window.close()
    question = one.window.hosts.question
    assert question is not None
    one.click(question.other)  # stop it, and close
    one.until(lambda: one.is_closed)


def test_that_an_invitation_that_comes_late_is_not_shown_for_another_site(qtbot: QtBot) -> None:
    """The person has cancelled the first dialog before the coordinator answered, and asks for another site."""
    oversight = Oversight()
    qtbot.addWidget(oversight)
    asked: list[Wish] = []
    oversight.line.ask = asked.append  # type: ignore[method-assign]
    for name in ("Northfield", "Mercy General"):
        oversight._invite("")
        dialog = oversight.dialog
        assert isinstance(dialog, InviteDialog)
        dialog.name.line.insert(name)
        dialog.make.click()
        if name == "Northfield":
            dialog.reject()
    line = Invitation("federation.example.org:8765", "3f" * 32, bytes(16), "Northfield").line()
    late = Invited(line=line, file_text=line, until=datetime.now(UTC), confirms=True)
    oversight._answered(Answer(asked[0], invited=late))
    assert not dialog.shown.isVisible() and dialog.name.isVisible()
    oversight._answered(Answer(asked[0], refusal="Northfield is invited already."))
    assert dialog.banner.isHidden()
    oversight._answered(Answer(asked[1], refusal="Mercy General is invited already."))
    assert "Mercy General" in dialog.banner.text()
    dialog.reject()


def test_that_the_invitation_of_a_host_is_opened_in_join_and_found_again(
    program: Callable[..., Desktop], port: int, tmp_path: Path
) -> None:
    """A federation that another computer serves, here by another process."""
    form = HostForm(name="Riverside federation", types="drug", reach="here", port=str(port), confirm=False)
    hosted = found(replace(form, folder=str(tmp_path / "elsewhere")), lambda model: Inside(None, "plain"))
    hosted = process.begin(hosted)
    try:
        one = program()
        one.until(lambda: process.look(hosted).state == "serving")
        until, now = timedelta(days=1), datetime.now(UTC)
        as_host = {"out": tmp_path, "address": hosted.public, "role": "host"}
        made = issue(hosted.data_dir, "Dr. Weber", until, now, "test", **as_host)  # type: ignore[arg-type]
        one.window.show_join()
        one.window.join.prefill(made.invitation.line())
        assert one.window.join.fields["model"].isHidden() and "makes you a host" in words(one.window.join)
        one.click(one.window.join.join)
        assert one.window.page == "hosting"
        one.until(lambda: page(one).oversight.line.connection == "connected")
        assert "Riverside federation" in words(page(one)) and "another computer serves it" in words(page(one))
        assert page(one).serving.isHidden()
        one.close()
        again = program()
        again.program.settings.load()
        again.program.memory.restore()
        again.window.go("hosting")
        again.until(lambda: page(again).oversight.line.connection == "connected")
        again.click(page(again).no_longer)
        assert again.window.hosts.question is not None
        again.click(again.window.hosts.question.yes)
        assert again.window.rounds.isVisible() and again.program.settings.values.overseen is None
        again.close()
    finally:
        process.end(hosted)


def test_that_a_coordinator_that_cannot_serve_says_why(
    program: Callable[..., Desktop], port: int, tmp_path: Path
) -> None:
    one = program()
    one.click(one.window.rounds.empty.buttons[3])
    fill(one, port)
    one.until(lambda: page(one).found.isEnabled())
    with socket.socket() as taken:  # by another program, after the form was looked at
        taken.bind(("127.0.0.1", port))
        taken.listen()
        one.click(page(one).found)
        one.until(lambda: page(one).state == "failed")
    assert "stopped by itself" in words(page(one)) and f"Port {port}" in words(page(one))
    assert page(one).served.start.isVisible()


def test_that_a_taken_port_and_a_taken_folder_are_told_beside_their_fields(
    program: Callable[..., Desktop], tmp_path: Path
) -> None:
    one = program()
    one.window.show_join()
    one.click(one.window.join.host)
    form = page(one).form
    (tmp_path / "program" / "federations" / "riverside-federation").mkdir(parents=True)
    (tmp_path / "program" / "federations" / "riverside-federation" / "federation.toml").write_text("", "utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        fill(one, taken.getsockname()[1])
        one.until(
            lambda: form.fields["port"].verdict.state == "wrong" and form.fields["folder"].verdict.state == "wrong"
        )
    assert "used by another program" in form.fields["port"].sentence()
    assert "already a federation in" in form.fields["folder"].sentence()
    assert not page(one).found.isEnabled() and "not right yet" in words(page(one))
    one.click(page(one).back)
    assert one.window.rounds.isVisible() and one.program.settings.values.hosted is None


def test_that_what_few_need_waits_behind_advanced_and_is_founded_with(
    program: Callable[..., Desktop], port: int, tmp_path: Path
) -> None:
    Adapter.initial(linears_in_files(resource("demo_model")), 8, 1.0, 0).save_peft(tmp_path / "earlier")
    one = program()
    one.click(one.window.rounds.empty.buttons[3])
    fill(one, port)
    form = page(one).form
    assert not form.rare.is_open and "rank" not in form.fields
    one.click(form.rare.link)
    one.click(form.rare_places.link)
    one.type(form.fields["begin_with"].line, str(tmp_path))
    one.type(form.fields["clients"].line, "1")
    one.until(lambda: form.fields["begin_with"].verdict.state == "wrong")
    assert "is not an adapter" in form.fields["begin_with"].sentence()
    assert form.fields["clients"].verdict.state == "right", "one of so few is enough: the quorum follows"
    one.type(form.fields["quorum"].line, "2")
    assert "no round could close" in form.fields["clients"].sentence() and not page(one).found.isEnabled()
    one.type(form.fields["clients"].line, "2")
    one.type(form.fields["begin_with"].line, str(tmp_path / "earlier"))
    one.until(lambda: form.fields["begin_with"].verdict.state == "right")
    one.type(form.fields["rank"].line, "4")
    one.until(lambda: "at most 4" in form.fields["begin_with"].sentence())
    one.type(form.fields["rank"].line, "8")
    one.type(form.fields["keep"].line, "2")
    one.until(lambda: page(one).found.isEnabled())
    one.click(page(one).found)
    one.until(lambda: page(one).state == "serving")
    hosted = page(one).hosted
    assert hosted is not None and hosted.keep == 2
    spec = load_spec(hosted.folder / "federation.toml")
    assert (spec.lora.rank, spec.lora.scale, spec.round.clients, spec.round.quorum) == (8, 4.0, 2, 2)
    one.window.close()
    question = one.window.hosts.question
    assert question is not None
    one.click(question.other)  # stop it, and close
    one.until(lambda: one.is_closed)


def test_that_what_was_typed_is_there_again_when_somebody_comes_back_to_the_form(
    program: Callable[..., Desktop], port: int
) -> None:
    one = program()
    one.click(one.window.rounds.empty.buttons[3])
    fill(one, port)
    rounds = page(one).form.fields["rounds"]
    rounds.line.selectAll()
    one.type(rounds.line, "20")
    one.window.go("rounds")
    one.click(one.window.rounds.empty.buttons[3])
    typed = page(one).form.form()
    assert (typed.rounds, typed.port, typed.name) == ("20", str(port), "Riverside federation")


def test_that_what_is_hosted_here_is_found_again_where_another_federation_is_not(
    program: Callable[..., Desktop], tmp_path: Path, port: int
) -> None:
    """The folder of a host of a federation that is served elsewhere has gone since the last start."""
    one = program()
    hosted = Hosted(name="Riverside federation", folder=tmp_path / "hosted", port=port, public=f"127.0.0.1:{port}",
                    environment="test", network=False)  # fmt: skip
    one.window.hosts.restore(hosted, tmp_path / "gone")
    assert page(one).hosted == hosted and page(one).title.text() == "Riverside federation"


def test_that_a_process_of_another_program_is_not_taken_for_the_coordinator(tmp_path: Path) -> None:
    own = psutil.Process()
    hosted = Hosted(
        name="R", environment="test", folder=tmp_path, port=8765, public="a:8765", network=True, pid=own.pid
    )
    assert not process.is_running(hosted.model_copy(update={"began": own.create_time() - 60}))
    assert process.is_running(hosted.model_copy(update={"began": own.create_time()}))
    assert process.look(hosted).state == "stopped"
