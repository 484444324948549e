# SPDX-License-Identifier: Apache-2.0
"""Search in the record: by words, kind of entry and time."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QWidget

from ..look import theme
from ..look.fields import Choice
from ..widgets import Row
from ..widgets.field import PAUSE_MS, ChoiceBox
from .view import Period, Shown, Wanted

_LEAST = 140  # px at text scale 1


class SearchRow(Row):
    """`changed` once typing pauses, and with every choice."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(spacing=8, parent=parent)
        self.line = QLineEdit()
        self.line.setPlaceholderText(self.tr("Search: a name, a reason, a hash, 2026-11-29"))
        self.line.setAccessibleName(self.tr("Search in the record"))
        self.line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.kind, self.period = ChoiceBox(self.tr("Kind of entry")), ChoiceBox(self.tr("Time"))
        self.kind.show_choices(self._kinds(), "all")
        self.period.show_choices(self._periods(), "any")
        for box in (self.kind, self.period):
            box.setMinimumContentsLength(12)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.changed)
        self.line.textChanged.connect(self._typed)
        for box in (self.kind, self.period):
            box.chosen.connect(self.changed)
        for widget, stretch in ((self.line, 2), (self.kind, 1), (self.period, 1)):
            self.add(widget, stretch, _LEAST)
        self.restyle()

    def restyle(self) -> None:
        super().restyle()
        if hasattr(self, "period"):
            self.line.setMinimumHeight(max(self.period.sizeHint().height(), theme.px(32)))

    def _kinds(self) -> list[Choice]:
        words: dict[Shown, str] = {
            "all": self.tr("Everything"),
            "decisions": self.tr("Decisions"),
            "rounds": self.tr("Training and rounds"),
            "federation": self.tr("Taking part"),
            "program": self.tr("Program and keys"),
            "trouble": self.tr("Failed or refused"),
            "unreviewed": self.tr("Not reviewed yet"),
        }
        return [Choice(key, word) for key, word in words.items()]

    def _periods(self) -> list[Choice]:
        words: dict[Period, str] = {
            "any": self.tr("Any time"),
            "day": self.tr("Last 24 hours"),
            "week": self.tr("Last 7 days"),
            "month": self.tr("Last 30 days"),
            "year": self.tr("Last 12 months"),
        }
        return [Choice(key, word) for key, word in words.items()]

    def wanted(self) -> Wanted:
        return Wanted(self.kind.key(), self.period.key(), self.line.text())  # type: ignore[arg-type]

    @Slot()
    def clear(self) -> None:
        """Everything is shown again."""
        self.kind.choose("all")
        self.period.choose("any")
        self.line.clear()
        self._pause.stop()
        self.changed.emit()

    @Slot()
    def _typed(self) -> None:
        self._pause.start()
