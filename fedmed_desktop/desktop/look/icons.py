# SPDX-License-Identifier: Apache-2.0
"""Line icons in the colour of the text beside them, drawn from `resources/icons/*.svg`. GUI thread only."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from . import theme
from .files import svg

ICON_PX = 18  # at text scale 1


@lru_cache(maxsize=256)
def _renderer(name: str, rgb: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(svg(name, rgb).encode()))


def paint_icon(painter: QPainter, place: QRectF, name: str, color: QColor) -> None:
    """Draws the icon into a square, in logical pixels; sharp on any screen since it is drawn, not scaled."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _renderer(name, color.name()).render(painter, place)


@lru_cache(maxsize=512)
def _pixmap(name: str, rgb: str, size: int, ratio: float, before: int = 0, after: int = 0) -> QPixmap:
    drawing = _renderer(name, rgb)  # may raise, which no painter outlives
    pixmap = QPixmap(round((before + size + after) * ratio), round(size * ratio))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    drawing.render(painter, QRectF(round(before * ratio), 0, round(size * ratio), round(size * ratio)))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def _ratios() -> set[float]:
    """Device pixels per logical pixel of every screen there is, and of the two usual kinds that may be plugged in."""
    return {1.0, 2.0, *(screen.devicePixelRatio() for screen in QGuiApplication.screens())}


def icon(name: str, color: str | QColor = "ink", size: int = 0, space: int = 0) -> QIcon:
    """An icon in the colour of a token of the running theme, or in a QColor; `size` in logical pixels, 0: as text has.
    `space` is left free towards the word, in logical pixels: Qt puts only 4 there; `icon_size(space)` then fits.

    It keeps its colour: a widget that shows it asks again when the theme has changed (those of `widgets/` do).
    Raises FileNotFoundError for a name without a drawing, KeyError for a token that the theme lacks.
    """
    rgb = (color if isinstance(color, QColor) else theme.active().color(color)).name()
    wanted = size or theme.px(ICON_PX)
    free = (space, 0) if QGuiApplication.isRightToLeft() else (0, space)
    made = QIcon()
    for ratio in sorted(_ratios()):
        made.addPixmap(_pixmap(name, rgb, wanted, ratio, *free))
    return made


def icon_size(space: int = 0) -> QSize:
    """Size of an icon beside text, in logical pixels."""
    return QSize(theme.px(ICON_PX) + space, theme.px(ICON_PX))


def app_icon() -> QIcon:
    """The program's own mark, for windows and task bars; its colours do not follow the theme."""
    made = QIcon()
    for size in (16, 20, 24, 32, 48, 64, 128, 256):
        made.addPixmap(_pixmap("app", "#000000", size, 1.0))
    return made
