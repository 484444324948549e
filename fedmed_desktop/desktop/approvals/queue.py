# SPDX-License-Identifier: Apache-2.0
"""The updates that wait, to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QWidget

from ...federation.work import Entry
from ...wording import tr
from ..widgets import Button, Flow
from ..work.desk import Desk
from . import decision as deciding
from .sheet import title

LASTING = ("pending", "approved", "released")  # what happens to these has not ended


def listed(desk: Desk, selected: str) -> list[Entry]:
    """Entries that have not ended, and the one on the screen."""
    return [entry for entry in desk.record.entries if entry.state in LASTING or entry.sha256 == selected]


def to_show(entries: Sequence[Entry], selected: str) -> Entry | None:
    """The chosen one stays while it lasts, and after a refusal or an expiry until the person turns to the next."""
    lasting = [entry for entry in entries if entry.state in LASTING]
    shown = next((entry for entry in entries if entry.sha256 == selected), None)
    if shown is not None and (shown in lasting or not lasting or shown.state in ("refused", "expired")):
        return shown
    return next((entry for entry in lasting if entry.state == "pending"), lasting[0]) if lasting else None


class Queue(Flow):
    """The updates that wait, one button each; hidden while there is one only."""

    chosen = Signal(str)  # sha256

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(self.tr("Waiting updates"))
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._choose)
        self.buttons: list[Button] = []
        self.hide()

    def show_entries(self, entries: Sequence[Entry], selected: str) -> None:
        while len(self.buttons) < len(entries):
            button = Button()
            button.setCheckable(True)
            self._group.addButton(button)
            self.add(button)
            self.buttons.append(button)
        for number, button in enumerate(self.buttons):
            button.setVisible(number < len(entries))
            if number < len(entries):
                self._show(button, entries[number], selected)
        self.setVisible(len(entries) > 1)

    def _show(self, button: Button, entry: Entry, selected: str) -> None:
        text = f"{title(entry)} · {tr(deciding.WORDS[deciding.stage(entry)])}"
        if button.text() != text or button.property("sha256") != entry.sha256:
            button.setText(text)
            button.setProperty("sha256", entry.sha256)
        if button.isChecked() != (entry.sha256 == selected):
            button.setChecked(entry.sha256 == selected)

    @Slot(object)
    def _choose(self, button: Button) -> None:
        self.chosen.emit(button.property("sha256"))
