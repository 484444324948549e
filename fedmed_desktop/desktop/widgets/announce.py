# SPDX-License-Identifier: Apache-2.0
"""Announcements of a screen reader while the focus is elsewhere. Rare ones only: each interrupts a person."""

from __future__ import annotations

from collections.abc import Callable

from PySide6 import QtGui
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QWidget

# Where events go; a test listens here, since PySide6 has no QAccessible.installUpdateHandler.
_send: Callable[[QAccessibleEvent], None] = QAccessible.updateAccessibility


def announce(widget: QWidget, sentence: str) -> bool:
    """Whether it was said: not where the widget is not seen, the sentence is empty, or Qt is older than 6.8.

    From the GUI thread. Politely: after what is being read out at the moment.
    """
    if not sentence or not widget.isVisible() or not hasattr(QtGui, "QAccessibleAnnouncementEvent"):
        return False
    _send(QtGui.QAccessibleAnnouncementEvent(widget, sentence))
    return True
