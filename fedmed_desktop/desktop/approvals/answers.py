# SPDX-License-Identifier: Apache-2.0
"""Parts of a decision: findings to tick, usual reasons, and the three answers in one line."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QVBoxLayout, QWidget

from ..widgets import Banner, Button, Flow, LinkButton, Row, Spaced
from .sheet import Finding

MOST_REASONS = 3


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
        column.addWidget(self.box, 0, Qt.AlignmentFlag.AlignLeft)

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


class UsualReasons(Flow):
    """Reasons that most people write, one link each, at the end of the line that names the field."""

    chosen = Signal(str)

    def __init__(self, label: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(label, spacing=8, parent=parent)
        self.push()
        self.setAccessibleName(self.tr("Usual reasons"))
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        self.buttons = [LinkButton() for _ in range(MOST_REASONS)]
        for button in self.buttons:
            self._group.addButton(button)
            self.add(button)
        self._group.buttonClicked.connect(self._choose)

    def show_reasons(self, reasons: Sequence[str]) -> None:
        """Shows at most MOST_REASONS."""
        for number, button in enumerate(self.buttons):
            button.setVisible(number < len(reasons))
            if number < len(reasons) and button.text() != reasons[number]:
                button.setText(reasons[number])
                button.setAccessibleName(self.tr("Take as the reason: {reason}").format(reason=reasons[number]))

    @Slot(object)
    def _choose(self, button: Button) -> None:
        self.chosen.emit(button.text())


class SideBySide(Row):
    """The three answers, in one line and at its right end, as long as their words leave room for that."""

    def __init__(self, *buttons: Button) -> None:
        super().__init__(spacing=8)
        self.content.addStretch(1)
        for button in buttons:
            self.add(button)
