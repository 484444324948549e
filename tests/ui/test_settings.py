# SPDX-License-Identifier: Apache-2.0
"""The Settings page: choices count at once; a proxy's password, the key and the policy are told rightly."""

from __future__ import annotations

import json
import socket
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.settings.page import SettingsPage
from fedmed_desktop.desktop.work.desk import utc_now
from fedmed_desktop.desktop.work.settings import Settings, SettingsFile
from fedmed_desktop.federation.policy import InForce, Layer, Policy
from fedmed_desktop.resources import resource
from fedmed_desktop.site.preflight import Takes
from fedmed_desktop.storage.outbox import Record
from fedmed_desktop.storage.secrets import load_key
from fedmed_desktop.wording.policy_in_force import in_force
from tests.parts.scene import NOW, spec
from tests.parts.ui import Desktop, words
from tests.ui.scenes import Scene, shown
from tests.ui.scenes_of_rounds import nobody

Opened = Callable[..., Desktop]
NOTES = resource("demo_notes") / "Lakeview"


def opened(one: Desktop) -> SettingsPage:
    one.window.show_settings()
    page = one.window.settings
    one.until(lambda: "Looking" not in page.key.sentence.text())
    return page


def kept(one: Desktop) -> Settings:
    """As the next start would find them."""
    again = SettingsFile(one.program.settings.path.parent)
    again.load()
    return again.values


def join(one: Desktop, folder: Path, address: str) -> None:
    request = {"address": address, "name": "North", "model": str(resource("demo_model"))}
    values = {"joined": request | {"notes": str(NOTES), "data_dir": str(folder)}}
    one.program.settings.values = type(one.program.settings.values).model_validate_json(json.dumps(values))


def test_that_the_page_is_reached_by_its_keys(qtbot: QtBot, tmp_path: Path) -> None:
    with shown(Scene("rounds", "key", nobody), tmp_path, (1280, 720)) as stage:
        qtbot.keyClick(stage.window, Qt.Key.Key_7, Qt.KeyboardModifier.ControlModifier)
        assert stage.window.page == "settings"


def test_that_before_joining_there_is_no_key_and_nothing_to_check(desktop: Opened) -> None:
    one = desktop().begin()
    page = opened(one)
    assert "made when this site joins" in page.key.sentence.text() and page.proxy.proxy.text() == "system"
    one.click(page.findings.button)
    assert "has not joined" in page.findings.summary.text() and not page.findings.rows
    assert not page.connections.table.isVisible() and "None yet" in page.connections.sentence.text()
    assert page.licences.model.rowCount() > 5
    one.until(lambda: "There is no policy" in words(page.policy))  # a row that is new is shown with the next layout


def test_that_a_choice_counts_at_once_and_is_kept(desktop: Opened) -> None:
    one = desktop().begin()
    page = opened(one)
    page.appearance.appearance.choose("dark")
    page.appearance.appearance.chosen.emit()
    page.appearance.scale.choose("1.25")
    page.appearance.scale.chosen.emit()
    page.computer.cores.choose("1")
    page.computer.cores.chosen.emit()
    try:
        assert (one.program.appearance.choice, one.program.appearance.text_scale) == ("dark", 1.25)
        assert one.program.settings.values.cores == 1 and kept(one).cores == 1
        one.window.menu.text_scaled.emit(1)
        assert page.appearance.scale.key() == str(one.program.appearance.text_scale)
        assert one.program.settings.values.text_scale == one.program.appearance.text_scale
    finally:
        one.program.appearance.choose("light")
        one.program.appearance.set_text_scale(1.0)


def test_that_the_cores_go_with_the_request_to_join_and_are_not_kept_in_it(desktop: Opened, tmp_path: Path) -> None:
    one = desktop().begin()
    join(one, tmp_path, "ws://127.0.0.1:1")
    one.program.settings.values.cores = 1
    asked: list[int] = []
    one.program.engine.join = lambda request: asked.append(request.cores)
    assert one.program.settings.values.joined is not None
    one.program._begin_session(one.program.settings.values.joined)
    assert asked == [1] and "cores" not in one.program.settings.values.joined.model_dump()


def test_that_a_proxy_is_kept_and_its_password_is_never_seen(desktop: Opened) -> None:
    one = desktop().begin()
    page = opened(one)
    page.proxy.proxy.line.setText("ftp://proxy")
    assert page.proxy.proxy.verdict.state == "wrong" and one.program.settings.values.proxy == "system"
    page.proxy.proxy.line.setText("anna@proxy.example:3128")
    page.proxy.password.line.setText("sesame")
    one.until(lambda: kept(one).proxy == "http://anna:sesame@proxy.example:3128")
    assert one.program.settings.path.stat().st_mode & 0o077 == 0
    page.show_values(one.program.settings.values)
    assert page.proxy.proxy.text() == "http://anna@proxy.example:3128"
    assert "from the next start of the program" in words(page.proxy), "a session goes on with the one it began with"
    assert page.proxy.password.line.echoMode() == QLineEdit.EchoMode.Password
    seen = " ".join(line.displayText() for line in page.findChildren(QLineEdit))
    assert "sesame" not in seen and "sesame" not in one.program.log_path.read_text()
    page.proxy.proxy.line.setText("nonsense://")
    one.until(lambda: not page.proxy.proxy.waiting)
    assert kept(one).proxy == "http://anna:sesame@proxy.example:3128", "the one before stays"


def test_that_the_check_says_where_the_key_lies_and_what_is_wrong(desktop: Opened, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "site"
    load_key(folder, "site", {})
    one = desktop().begin()
    join(one, folder, f"ws://127.0.0.1:{port}")
    page = opened(one)
    page.findings.ask_torch = lambda asked: replace(asked, takes=Takes(2, 1))
    assert str(folder / "identity.key") in page.key.sentence.text()
    one.click(page.findings.button)
    one.until(lambda: bool(page.findings.rows))
    assert page.findings.summary.text() == "One thing must be put right."
    said = [row.text() for row in page.findings.rows]
    assert said[0].startswith("Connection: ") and "no program listens" in said[0], "what is wrong comes first"
    assert any(line.startswith("Secret key: ") for line in said) and any(line.startswith("Memory: ") for line in said)
    assert page.findings.button.isEnabled()
    assert "That is a guess" in next(line for line in said if line.startswith("Memory: "))
    (made,) = kept(one).connections
    assert (made.host, made.why) == (f"127.0.0.1:{port}", "check")
    page.proxy.proxy.line.setText("none")
    assert not page.findings.rows, "found by another proxy"
    one.program.desk.fold([Record(spec(), (), (), None)])  # as once it is connected
    one.window.show_desk(one.program.desk, utc_now())
    one.click(page.findings.button)
    one.until(lambda: bool(page.findings.rows))
    assert any("for the federation's own settings" in row.text() for row in page.findings.rows)


def test_that_a_connection_to_a_coordinator_is_listed_with_its_time(desktop: Opened) -> None:
    one = desktop().begin()
    page = opened(one)
    for state in ("connecting", "connected", "connected"):
        address = "wss://federation.example.org:8765"
        one.program._happened(
            events.ConnectionChanged(site="North", time=NOW, state=state, address=address)  # type: ignore[arg-type]
        )
    one.window.show_desk(one.program.desk, utc_now())
    assert page.connections.table.isVisible() and page.connections.model.rowCount() == 1
    assert page.connections.model.index(0, 0).data() == "federation.example.org:8765"
    assert [one.times for one in kept(one).connections] == [2]


def test_that_locked_keys_are_told_as_the_administrators(qtbot: QtBot) -> None:
    page = SettingsPage()
    qtbot.addWidget(page)
    policy = InForce((Layer(Policy(most_rank=32, least_notes=50), "/etc/policy.toml"),))
    page.policy.show_policy(tuple(in_force(policy)), frozenset({"most_rank"}), "")
    said = [row.text() for row in page.policy.rows]
    assert said[0] == "The rank is at most 32. Set by your administrator."
    assert said[1] == "It is trained on at least 50 notes."
    page.policy.show_policy((), frozenset(), "Nothing leaves this site.")
    assert not page.policy.rows and page.policy.sentence.text() == "Nothing leaves this site."


def test_that_a_bundle_is_shown_before_it_is_saved_and_parts_can_be_left_out(desktop: Opened, tmp_path: Path) -> None:
    one = desktop().begin()
    page = opened(one)
    one.click(page.bundle)
    one.until(lambda: page.dialog is not None)
    dialog = page.dialog
    assert dialog is not None and "the desktop has started" in dialog.text.toPlainText()
    assert str(one.folder) not in dialog.text.toPlainText()
    dialog.boxes["log.txt"].setChecked(False)
    assert "log.txt" not in dialog.text.toPlainText()
    for name in ("about.txt", "settings.txt"):
        dialog.boxes[name].setChecked(False)
    assert not dialog.save.isEnabled()
    dialog.boxes["about.txt"].setChecked(True)
    seen = dialog.text.toPlainText()
    dialog.take(str(tmp_path / "bundle.zip"))
    one.until(lambda: "Saved as" in page.banner.text())
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.namelist() == ["about.txt"]
        assert f"=== about.txt ===\n{bundle.read('about.txt').decode()}" == seen
