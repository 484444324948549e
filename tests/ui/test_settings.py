# SPDX-License-Identifier: Apache-2.0
"""The Settings dialog: where the secret key lies, a proxy whose password nobody sees, and a look at the connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QLineEdit

from fedmed_desktop.desktop.frame.settings import SettingsFile
from fedmed_desktop.desktop.work.desk import utc_now
from fedmed_desktop.resources import resource
from fedmed_desktop.site.preflight import Takes
from fedmed_desktop.storage import Record
from fedmed_desktop.storage.secrets import load_key
from tests.parts.scene import spec
from tests.parts.ui import Desktop

Opened = Callable[..., Desktop]
NOTES = resource("demo_notes") / "Lakeview"


def test_that_before_joining_there_is_no_key_and_nothing_to_check(desktop: Opened) -> None:
    one = desktop().begin()
    one.program.memory.open_settings()
    dialog = one.window.settings
    assert "made when this site joins" in dialog.key.text() and dialog.proxy.text() == "system"
    one.click(dialog.findings.button)
    assert "has not joined" in dialog.findings.summary.text() and not dialog.findings.rows
    dialog.reject()


def test_that_a_proxy_is_kept_and_its_password_is_never_seen(desktop: Opened, tmp_path: Path) -> None:
    one = desktop().begin()
    one.program.memory.open_settings()
    dialog = one.window.settings
    dialog.proxy.line.setText("ftp://proxy")
    assert dialog.proxy.verdict.state == "wrong" and not dialog.save.isEnabled()
    dialog.proxy.line.setText("anna@proxy.example:3128")
    dialog.password.line.setText("sesame")
    one.click(dialog.save)
    assert one.program.settings.values.proxy == "http://anna:sesame@proxy.example:3128"
    again = SettingsFile(one.program.settings.path.parent)
    again.load()
    assert again.values.proxy == one.program.settings.values.proxy
    assert again.path.stat().st_mode & 0o077 == 0
    one.program.memory.open_settings()
    assert dialog.proxy.text() == "http://anna@proxy.example:3128"
    assert dialog.password.line.echoMode() == QLineEdit.EchoMode.Password
    shown = " ".join(line.displayText() for line in dialog.findChildren(QLineEdit))
    assert "sesame" not in shown and "sesame" not in one.program.log_path.read_text()
    dialog.reject()


def test_that_the_check_says_where_the_key_lies_and_what_is_wrong(desktop: Opened, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "site"
    load_key(folder, "site", {})
    one = desktop().begin()
    request = {"address": f"ws://127.0.0.1:{port}", "name": "North", "model": str(resource("demo_model"))}
    values = {"joined": request | {"notes": str(NOTES), "data_dir": str(folder)}}
    one.program.settings.values = type(one.program.settings.values).model_validate_json(json.dumps(values))
    one.window.join.findings.ask_torch = lambda asked: replace(asked, takes=Takes(2, 1))
    one.program.memory.open_settings()
    dialog = one.window.settings
    assert str(folder / "identity.key") in dialog.key.text()
    one.click(dialog.findings.button)
    one.until(lambda: bool(dialog.findings.rows))
    assert dialog.findings.summary.text() == "One thing must be put right."
    said = [row.text() for row in dialog.findings.rows]
    assert said[0].startswith("Connection: ") and "no program listens" in said[0], "what is wrong comes first"
    assert any(line.startswith("Secret key: ") for line in said) and any(line.startswith("Memory: ") for line in said)
    assert dialog.findings.button.isEnabled()
    memory = next(line for line in said if line.startswith("Memory: "))
    assert "That is a guess" in memory
    dialog.reject()
    assert not dialog.findings.rows
    one.program.desk.fold([Record(spec(), (), (), None)])  # as once it is connected
    one.window.show_desk(one.program.desk, utc_now())
    one.program.memory.open_settings()
    one.click(dialog.findings.button)
    one.until(lambda: bool(dialog.findings.rows))
    assert any("for the federation's own settings" in row.text() for row in dialog.findings.rows)
    dialog.reject()
