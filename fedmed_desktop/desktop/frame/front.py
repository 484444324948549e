# SPDX-License-Identifier: Apache-2.0
"""A window brought before all others, wherever the system lets a program do that."""

from __future__ import annotations

import os

from PySide6.QtWidgets import QWidget

TOKEN = "XDG_ACTIVATION_TOKEN"


def bring_to_front(window: QWidget, activation: str = "") -> None:
    """Brings a window to the front, also one that is hidden or minimised. `activation`: Wayland's token of who asked;
    Qt takes it from there.
    """
    if activation:
        os.environ[TOKEN] = activation
    window.showNormal() if window.isMinimized() else window.show()
    window.raise_()
    window.activateWindow()
    os.environ.pop(TOKEN, None)  # it counts once
