# SPDX-License-Identifier: Apache-2.0
"""The Settings page: before a site has joined, of one that has, with a policy that locks, and the support bundle."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from PySide6.QtWidgets import QDialog

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.settings.files import Known
from fedmed_desktop.desktop.settings.support import log_part, settings_part, told_part
from fedmed_desktop.desktop.work.connections import Connection
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.settings import Settings
from fedmed_desktop.federation.hours import Window as Hours
from fedmed_desktop.federation.policy import InForce, Layer, Policy, Rule
from fedmed_desktop.site.policy_file import SystemPolicy
from fedmed_desktop.wording import sentence, tr
from fedmed_desktop.wording.findings import kept_line
from fedmed_desktop.wording.policy_in_force import in_force
from tests.parts.scene import NOW
from tests.ui.scenes import Scene, settle
from tests.ui.scenes_of_other_pages import FOUND, KEPT
from tests.ui.scenes_of_rounds import nobody, training

Act = Callable[[Window, Desk], QDialog | None]

SYSTEM = SystemPolicy(most_rank=32, four_eyes=True, locked=("most_rank", "four_eyes"), default="ask")
OWN = Policy(
    least_notes=50,
    hours=(Hours(days=("mon", "tue"), opens="07:00", closes="19:00"),),  # type: ignore[arg-type]
    rule=(Rule(name="too large a step", action="deny", over_norm_ratio=5.0),),
)
POLICY = InForce((Layer(SYSTEM, "/etc/fedmed-desktop/policy.toml"), Layer(OWN, "/srv/lakeview/policy.toml")))
PACKAGES = (
    ("PySide6-Essentials", "6.11.3", "LGPL-3.0-only OR GPL-2.0-only"),
    ("torch", "2.11.0", "BSD-3-Clause"),
    ("numpy", "2.4.0", "BSD-3-Clause"),
)
LOG = """\
2026-05-04T08:12:09Z INFO the desktop has started
2026-05-04T08:12:11Z INFO Connected to wss://federation.example.org:8765.
2026-05-04T09:31:40Z ERROR Something unexpected went wrong in the program (ZeroDivisionError).
Traceback (most recent call last):
  File "/srv/lakeview/.venv/lib/fedmed_desktop/desktop/program.py", line 280, in _take
    self.desk.fold((item,))
ZeroDivisionError: division by zero
"""


def _values() -> Settings:
    made = (
        Connection(
            host="federation.example.org:8765", why="part", first=NOW - timedelta(days=9), last=NOW, times=31
        ),
        Connection(
            host="coordinator.regional-research-network.st-aurelian.example.org:8765", why="check",
            first=NOW - timedelta(days=12), last=NOW - timedelta(days=12),
        ),
    )  # fmt: skip
    return Settings(proxy="http://anna:secret@proxy.lakeview.example:3128", connections=list(made), text_scale=1.0)


def _shown(known: Callable[[], Known], values: Callable[[], Settings] = Settings) -> Act:
    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        page = window.settings
        page.look = lambda: None  # type: ignore[method-assign]  # what is shown is the same every time
        page.show_values(values())
        settle(window)
        page.show_known(known())
        return None

    return act


def _joined() -> Known:
    locked = frozenset(SYSTEM.locked)
    return Known(kept_line(KEPT), tuple(in_force(POLICY)), "", locked, PACKAGES)


def _fresh() -> Known:
    nothing = tr("There is none yet. It is made when this site joins a federation.")
    return Known(nothing, tuple(in_force(InForce())), packages=PACKAGES)


def _unreadable() -> Known:
    params = {"path": "/etc/fedmed-desktop/policy.toml", "reason": "permission denied"}
    return Known(kept_line(KEPT), (), sentence("policy.unreadable", params), packages=PACKAGES)


def _lower(window: Window, desk: Desk) -> QDialog | None:
    _shown(_joined, _values)(window, desk)
    settle(window)
    bar = window.settings.verticalScrollBar()
    bar.setValue(bar.maximum())
    return None


def _checked(window: Window, desk: Desk) -> QDialog | None:
    _shown(_joined, _values)(window, desk)
    window.settings.findings.show_findings(FOUND)
    settle(window)
    window.settings.ensureWidgetVisible(window.settings.findings)
    return None


def _bundle(window: Window, desk: Desk) -> QDialog | None:
    _shown(_joined, _values)(window, desk)
    about = {"fedmed-desktop": "0.1.0", "Python": "3.12.4", "system": "Linux", "cores": "16", "memory": "125.7 GiB"}
    parts = {"about.txt": told_part(about), "settings.txt": settings_part(_values()), "log.txt": log_part(LOG)}
    window.settings.show_bundle(parts)
    return window.settings.dialog


def settings() -> list[Scene]:
    acts: dict[str, tuple[Callable[[Path], Desk], Act]] = {
        "not-joined": (nobody, _shown(_fresh)),
        "joined": (training, _shown(_joined, _values)),
        "lower": (training, _lower),
        "policy-unreadable": (training, _shown(_unreadable, _values)),
        "checked": (training, _checked),
        "bundle": (training, _bundle),
    }
    return [Scene("settings", state, desk, act) for state, (desk, act) in acts.items()]
