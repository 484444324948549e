# SPDX-License-Identifier: Apache-2.0
"""The computer stays awake while it trains, and not a moment longer; what is said about it is true."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.work.awake import Awake
from fedmed_desktop.desktop.work.news import KeptAwake, Paused, SessionEnded
from tests.parts.scene import NOW, Lakeview, phase
from tests.parts.ui import Desktop

ROOT = Path(__file__).parents[2]


class System:
    """Stands in for an operating system that can be asked not to sleep; counts who asks."""

    def __init__(self, agrees: bool = True, fails: bool = False) -> None:
        self.agrees, self.fails = agrees, fails
        self.holders = self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    @contextmanager
    def hold(self) -> Iterator[bool]:
        self.answers.wait(20)
        if self.fails:
            raise OSError("no such service")
        self.asked += 1
        self.holders += self.agrees
        try:
            yield self.agrees
        finally:
            self.holders -= self.agrees


def begun(desktop: Callable[..., Desktop], system: System, site: Lakeview) -> Desktop:
    one = desktop()
    one.program.presence.awake._hold = system.hold
    one.begin()
    feed(one, site)
    return one


def feed(one: Desktop, site: Lakeview) -> None:
    one.program.desk.__dict__.update(site.desk.__dict__)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Lakeview]:
    (tmp_path / "lakeview").mkdir()
    site = Lakeview(tmp_path / "lakeview")
    site.tell(phase("training"))
    yield site
    site.close()


def test_that_it_is_asked_once_while_it_trains_and_let_go_of_when_training_ends(
    desktop: Callable[..., Desktop], training: Lakeview
) -> None:
    system = System()
    one = begun(desktop, system, training)
    one.until(lambda: one.desk.awake.state == "on")
    assert "stays awake while it trains" in status(one.desk, NOW).text
    one.program.engine.buffer.append(phase("sent"))
    one.until(lambda: system.holders == 0 and one.desk.awake.state == "off")
    assert system.asked == 1 and "awake" not in status(one.desk, NOW).text


@pytest.mark.parametrize("end", [Paused(True), SessionEnded("failed"), SessionEnded("stopped")])
def test_that_a_pause_a_failure_and_a_stop_let_it_sleep(
    desktop: Callable[..., Desktop], training: Lakeview, end: Paused | SessionEnded
) -> None:
    system = System()
    one = begun(desktop, system, training)
    one.until(lambda: system.holders == 1)
    one.program.engine.buffer.append(end)
    one.until(lambda: system.holders == 0)


def test_that_the_end_of_the_program_lets_it_sleep(desktop: Callable[..., Desktop], training: Lakeview) -> None:
    system = System()
    one = begun(desktop, system, training)
    one.until(lambda: system.holders == 1)
    one.program.close()
    one.until(lambda: one.is_closed)
    assert system.holders == 0


@pytest.mark.parametrize("system", [System(agrees=False), System(fails=True)])
def test_that_a_system_that_cannot_is_said_and_training_goes_on(
    desktop: Callable[..., Desktop], training: Lakeview, system: System
) -> None:
    one = begun(desktop, system, training)
    one.until(lambda: one.desk.awake.state == "refused")
    assert "could not be kept awake" in status(one.desk, NOW).text and status(one.desk, NOW).state == "training"


def test_that_the_setting_counts_at_once(desktop: Callable[..., Desktop], training: Lakeview) -> None:
    system = System()
    one = begun(desktop, system, training)
    one.until(lambda: one.desk.awake.state == "on")
    one.window.go("settings")
    one.window.show_now()
    card = one.window.settings.background
    assert card.told.text() == "This computer stays awake while it trains."
    card.awake.click()
    one.until(lambda: system.holders == 0)
    assert one.program.settings.values.keep_awake is False


def test_that_a_system_that_answers_late_changes_nothing_that_was_said_since() -> None:
    said: list[KeptAwake] = []
    system = System()
    system.answers.clear()
    awake = Awake(said.append, system.hold)
    awake.want(True)
    awake.want(False)
    system.answers.set()
    awake.end()
    assert said == [KeptAwake("off")] and system.holders == 0


SERVICE = """
import sys
from jeepney import DBusAddress, HeaderFields, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection()
bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.PowerManagement"))
print("ready", flush=True)
while True:
    message = bus.receive()
    member = message.header.fields.get(HeaderFields.member)
    if member in ("Inhibit", "UnInhibit"):
        print(member, *message.body, flush=True)
        reply = new_method_return(message, "u", (7,)) if member == "Inhibit" else new_method_return(message)
        bus.send_message(reply)
"""
TRAINS = """
from fedmed_desktop.desktop.work.awake import kept_awake
with kept_awake() as agreed:
    print("agreed" if agreed else "refused")
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("dbus-run-session"), reason="needs a D-Bus daemon")
def test_that_a_linux_session_is_asked_and_released_over_a_real_bus(tmp_path: Path) -> None:
    """The bus is real, the service on it stands in for KDE's; nothing but that is on this bus."""
    (tmp_path / "service.py").write_text(SERVICE, "utf-8")
    (tmp_path / "trains.py").write_text(TRAINS, "utf-8")
    script = f"""
    coproc {sys.executable} service.py
    read -r ready <&"${{COPROC[0]}}"
    {sys.executable} trains.py
    for _ in 1 2; do read -r line <&"${{COPROC[0]}}"; echo "$line"; done
    kill $COPROC_PID
    """
    command = ["dbus-run-session", "--", "bash", "-c", script]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["agreed", "Inhibit wakepy wakelock active", "UnInhibit 7"], done.stderr
