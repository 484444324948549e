# SPDX-License-Identifier: Apache-2.0
"""Read-only cards of the Settings page: the key, the policy, connections, licences."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot, qVersion
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ... import __version__
from ...wording import moment, tr
from ...wording.policy_in_force import Said
from ..widgets import Icon, LinkButton, Sentence, Spaced, Table, TextTable
from ..widgets.labels import plain_tip
from ..widgets.layout import fit_rows
from ..work.connections import Connection
from .cards import SettingsCard

SOURCES = "https://code.qt.io/cgit/pyside/pyside-setup.git/"


class PolicyRow(Spaced):
    """One sentence of the policy; a lock before what no other file may set."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 2, 0, 2), 8)
        self._icon, self._words = Icon("dot", "dim", 16), Sentence(tone="ink")
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)

    def show_said(self, said: Said, is_locked: bool) -> None:
        lock = self.tr("{sentence} Set by your administrator.")
        self._icon.show_icon("lock" if is_locked else "dot", "dim")
        self._words.setText(lock.format(sentence=said.text) if is_locked else said.text)
        self.setToolTip(plain_tip(said.path))

    def text(self) -> str:
        return self._words.text()


class PolicyCard(SettingsCard):
    """The policy in force, as its files have it; it cannot be changed here."""

    guide_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Policy of this site"), parent=parent)
        self.rows: list[PolicyRow] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.content.addLayout(self._column)
        self.guide = LinkButton(self.tr("How a policy is written"), "help")
        self.content.addWidget(self.guide, 0, Qt.AlignmentFlag.AlignLeft)
        self.guide.clicked.connect(self._ask_guide)

    def show_policy(self, said: Sequence[Said], locked: frozenset[str], fault: str) -> None:
        self.say(fault or self.tr("It can only make the program stricter, and is changed in its file."),
                 "bad" if fault else "dim")  # fmt: skip
        fit_rows(self.rows, len(said), self._column, PolicyRow)
        for row, one in zip(self.rows, said, strict=True):
            row.show_said(one, one.key in locked)

    @Slot()
    def _ask_guide(self) -> None:
        self.guide_requested.emit("policy")


class ConnectionsCard(SettingsCard):
    """Every host that this program connected to."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Connections made"), parent=parent)
        self.table = Table(tr("Hosts that this program connected to"), 6)
        self.model = TextTable(self.table)
        self.table.setModel(self.model)
        self.add(self.table)

    def show_connections(self, made: Sequence[Connection]) -> None:
        self.table.setVisible(bool(made))
        self.say(
            self.tr("All of them. Demonstrations connect only within this computer, and are not listed.")
            if made
            else self.tr("None yet. This program connects to the coordinator that you join, and to nothing else.")
        )
        why = {"part": self.tr("Taking part"), "check": self.tr("A check")}
        headings = self.tr("Host"), self.tr("Why"), self.tr("Last")
        rows = [(one.host, why[one.why], moment(one.last, "minute")) for one in made]
        self.model.show_texts(headings, rows)


class LicencesCard(SettingsCard):
    """The version, what it is not, and the licences under which it and its parts may be used."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("About and licences"),
            tr(
                "fedmed-desktop {version}. Research software under the Apache License 2.0. Not a medical device; it "
                "makes no medical claims."
            ).format(version=__version__),
            parent,
        )
        self.add(
            Sentence(
                tr(
                    "Qt {qt} and PySide6: GNU LGPL 3, as shared libraries that you may replace; their sources are "
                    "at\n{sources}"
                ).format(qt=qVersion(), sources=SOURCES)
            )
        )
        self.add(Sentence(tr("No native speaker has checked the texts in German, French and Spanish yet.")))
        self.table = Table(tr("Packages that the program uses"), 6)
        self.model = TextTable(self.table)
        self.table.setModel(self.model)
        self.add(self.table)

    def show_packages(self, packages: Sequence[tuple[str, str, str]]) -> None:
        self.table.setVisible(bool(packages))
        self.model.show_texts((self.tr("Package"), self.tr("Version"), self.tr("Licence")), packages)
