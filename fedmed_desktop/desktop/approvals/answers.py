# SPDX-License-Identifier: Apache-2.0
"""Parts of a decision: findings to tick, usual reasons, and Keep on site, which asks once more."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from ...wording import tr
from ..widgets import Banner, Button, Flow, LinkButton, Spaced
from . import decision as deciding
from .sheet import Finding

REALLY_MS = 5000  # in which a decision must be confirmed (inferred)


class FindingBox(Spaced):
    """One finding with its own check box."""

    toggled = Signal(str, bool)  # the finding's code

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 6)
        self._code = ""
        self._banner = Banner()
        self.box = QCheckBox(self.tr("I have seen this"))
        self.box.toggled.connect(self._tell)
        column.addWidget(self._banner)
        column.addWidget(self.box)

    def show_finding(self, finding: Finding, is_seen: bool) -> None:
        if self._code != finding.code or self._banner.text() != finding.sentence:
            self._code = finding.code
            self._banner.show_message(finding.sentence, "warn")
            self.box.setAccessibleName(self.tr("I have seen this: {finding}").format(finding=finding.sentence))
        if self.box.isChecked() != is_seen:
            self.box.setChecked(is_seen)

    @Slot(bool)
    def _tell(self, is_seen: bool) -> None:
        self.toggled.emit(self._code, is_seen)


class KeepButton(Button):
    """Asks once more in its own place, for five seconds. A double click is one press."""

    asked = Signal()  # it asks now, or has ceased to ask
    confirmed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._ceases = QTimer(self)
        self._ceases.setSingleShot(True)
        self._ceases.setInterval(REALLY_MS)
        self._ceases.timeout.connect(self.calm)
        self.setText(self.tr("Keep on site"))

    @property
    def is_asking(self) -> bool:
        return self._ceases.isActive()

    def press(self) -> None:
        """Handles a valid press: the first asks, the second confirms."""
        if self.is_asking:
            self.calm()
            self.confirmed.emit()
            return
        self._ceases.start()
        self.setText(self.tr("Really keep it"))
        self.asked.emit()

    @Slot()
    def calm(self) -> None:
        """Asks no longer."""
        self._ceases.stop()
        self.setText(self.tr("Keep on site"))
        self.asked.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        event.accept()


class UsualReasons(Flow):
    """Reasons that most people write, one link each, at the end of the line that names the field."""

    chosen = Signal(str)

    def __init__(self, label: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(label, spacing=8, parent=parent)
        self.push()
        self.setAccessibleName(self.tr("Usual reasons"))
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        self.buttons = [LinkButton(tr(reason)) for reason in deciding.USUAL_REASONS]
        for button in self.buttons:
            button.setAccessibleName(self.tr("Take as the reason: {reason}").format(reason=button.text()))
            self._group.addButton(button)
            self.add(button)
        self._group.buttonClicked.connect(self._choose)

    @Slot(object)
    def _choose(self, button: Button) -> None:
        self.chosen.emit(button.text())


class SideBySide(Spaced):
    """The three answers, always in one line and at its right end."""

    def __init__(self, *buttons: Button) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        self._lay(row, (0, 0, 0, 0), 8)
        row.addStretch(1)
        for button in buttons:
            row.addWidget(button)
