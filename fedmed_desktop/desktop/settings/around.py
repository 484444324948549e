# SPDX-License-Identifier: Apache-2.0
"""Cards of the Settings page for what goes on around the window: notifications, the tray, the computer's sleep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QSystemTrayIcon, QWidget

from ...wording import later, tr
from ..look.fields import Choice
from ..widgets import Caption
from ..work.news import KeptAwake
from ..work.settings import NotificationKind
from .cards import SettingsCard

KINDS: Final[dict[NotificationKind, str]] = {
    "decision": later("A decision waits for me"),
    "round": later("A round is finished"),
    "trouble": later("Something needs me, such as a fault"),
    "finished": later("The federation has finished"),
}


class NotificationsCard(SettingsCard):
    """Kinds of news, told while the window is not in front. `silenced` carries those that are not wanted."""

    silenced = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("Notifications"),
            tr("Your system tells you of these while the window is not in front. They never hold text of a note."),
            parent,
        )
        self.boxes = {kind: QCheckBox(tr(words)) for kind, words in KINDS.items()}
        for box in self.boxes.values():
            self.add(box)
            box.clicked.connect(self._choose)

    def show_values(self, silent: Sequence[NotificationKind]) -> None:
        for kind, box in self.boxes.items():
            box.setChecked(kind not in silent)

    @Slot()
    def _choose(self) -> None:
        self.silenced.emit([kind for kind, box in self.boxes.items() if not box.isChecked()])


class BackgroundCard(SettingsCard):
    """Choices of what goes on without a person: the program without its window, a computer that stays awake."""

    closing_chosen = Signal(str)
    awake_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("In the background"), parent=parent)
        choices = {
            "ask": self.tr("Ask me, and remember the answer"),
            "stay": self.tr("Stay in the tray while this computer takes part"),
            "quit": self.tr("Close the program"),
        }
        name = self.tr("When the window is closed")
        self.closing = self.add_choice(name, [Choice(*choice) for choice in choices.items()], "ask")
        if not QSystemTrayIcon.isSystemTrayAvailable():
            no_tray = self.tr("This desktop has no tray: closing the window closes the program.")
            self.add(Caption(no_tray, wrap=True))
        self.awake = QCheckBox(self.tr("Keep this computer awake while it trains"))
        self.told = Caption(wrap=True)
        self.add(self.awake)
        self.add(self.told)
        self.closing.chosen.connect(self._choose)
        self.awake.clicked.connect(self._keep)

    def show_values(self, when_closed: str, keep_awake: bool) -> None:
        self.closing.choose(when_closed)
        self.awake.setChecked(keep_awake)

    def show_awake(self, told: KeptAwake) -> None:
        """Shows what the system said to it, while there is something to say."""
        self.told.setText(told.sentence)
        self.told.setVisible(bool(told.sentence))

    @Slot()
    def _choose(self) -> None:
        self.closing_chosen.emit(self.closing.key())

    @Slot()
    def _keep(self) -> None:
        self.awake_chosen.emit(self.awake.isChecked())
