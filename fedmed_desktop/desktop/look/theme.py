# SPDX-License-Identifier: Apache-2.0
"""The program's theme: tokens -> style sheet, palette and font; follows the system while it runs. Everything here
belongs to the GUI thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from PySide6.QtCore import QObject, Qt, QTemporaryDir, Signal, SignalInstance, Slot
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from ...resources import resource
from .files import load_tokens, svg
from .tokens import Tokens, filled_stylesheet, gap_px, text_px

Choice = Literal["system", "light", "dark", "contrast"]
CHOICES: Final[tuple[Choice, ...]] = ("system", "light", "dark", "contrast")
TEXT_PX: Final = 14
SCALES: Final = (1.0, 2.0)  # least and greatest text scale
_SCALE_STEP = 0.25
# Tried in this order where the system's own font is unknown or a stopgap; the first one installed is taken.
FONTS: Final = ("Inter", "Segoe UI", "SF Pro Text", "Noto Sans", "Cantarell", "Ubuntu", "Liberation Sans")
_STOPGAPS: Final = frozenset(
    {"", "sans", "sans serif", "sans-serif", "dejavu sans", "bitstream vera sans", "helvetica"}
)
_PAINTED: Final = {"check": "on_accent", "dot": "on_accent", "chevron": "dim"}  # drawings that the style sheet names


@dataclass(frozen=True)
class Theme:
    """A named set of colours, as Qt wants them."""

    tokens: Tokens

    @property
    def name(self) -> str:
        return self.tokens.name

    @property
    def is_dark(self) -> bool:
        return self.tokens.is_dark

    def color(self, token: str) -> QColor:
        """Colour of a token ("ink", "series_1"). Raises KeyError for a name that the theme lacks."""
        return QColor(self.tokens[token])

    def entity_fill(self, token: str) -> QColor:
        """Ground behind the words of an entity ("entity_1")."""
        return QColor(self.tokens.entity_fill(token))


@lru_cache(maxsize=8)
def load_theme(name: str) -> Theme:
    """Theme "light", "dark" or "contrast" from its token file. Raises ValueError for any other name or a bad file."""
    return Theme(load_tokens(name))


class _Running:
    """The current look. One per process, like QApplication itself; set by Appearance."""

    theme: Theme | None = None
    scale: float = 1.0
    applied: int = 0
    drawings: QTemporaryDir | None = None  # as long as the process: a style sheet names files in it


def active() -> Theme:
    """The theme that is shown now; light before any Appearance was made."""
    return _Running.theme or load_theme("light")


def applied() -> int:
    """Grows with every change of the look."""
    return _Running.applied


def px(size: float) -> int:
    """Logical pixels for letters, icons and controls of `size` at text scale 1."""
    return text_px(size, _Running.scale)


def gap(size: float) -> int:
    """Logical pixels for empty space of `size` at text scale 1; grows half as fast as text."""
    return gap_px(size, _Running.scale)


def chosen_family(system: str, is_installed: Callable[[str], bool]) -> str:
    """The system's own font, unless that is a stopgap and a better one is installed."""
    if system.lower() not in _STOPGAPS:
        return system
    return next((family for family in FONTS if is_installed(family)), system)


def base_font() -> QFont:
    """The font of running text at the present text scale; digits are equally wide, so that numbers do not jump."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    font.setFamily(chosen_family(font.family(), QFontDatabase.hasFamily))
    font.setPixelSize(px(TEXT_PX))
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def sized(font: QFont, size: float, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """A copy of a font with `size` pixels at text scale 1."""
    copy = QFont(font)
    copy.setPixelSize(px(size))
    copy.setWeight(weight)
    return copy


def palette_of(theme: Theme) -> QPalette:
    """Qt's roles filled from the tokens, for all that the style sheet does not paint itself."""
    role, group, color = QPalette.ColorRole, QPalette.ColorGroup, theme.color
    palette = QPalette()
    for name, token in {
        role.Window: "bg", role.WindowText: "ink", role.Base: "field", role.AlternateBase: "hover",
        role.Text: "ink", role.Button: "card", role.ButtonText: "ink", role.BrightText: "bad",
        role.Highlight: "accent", role.HighlightedText: "on_accent", role.Accent: "accent",
        role.Link: "accent", role.LinkVisited: "accent", role.PlaceholderText: "dim",
        role.ToolTipBase: "card", role.ToolTipText: "ink",
        role.Light: "card", role.Midlight: "hover", role.Mid: "line", role.Dark: "edge", role.Shadow: "line",
    }.items():  # fmt: skip
        palette.setColor(name, color(token))
    for name in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, name, color("faint"))
    palette.setColor(group.Disabled, role.Highlight, color("line"))
    return palette


def system_theme() -> str:
    """The theme that fits what the person has set for all programs; light where the system does not say."""
    hints = QGuiApplication.styleHints()
    more = hasattr(hints, "accessibility") and hints.accessibility().contrastPreference()
    if more == Qt.ContrastPreference.HighContrast:
        return "contrast"
    return "dark" if hints.colorScheme() == Qt.ColorScheme.Dark else "light"


def _told_by_the_system() -> list[SignalInstance]:
    """Signals after which "system" may mean another theme."""
    hints = QGuiApplication.styleHints()
    told: list[SignalInstance] = [hints.colorSchemeChanged]
    if hasattr(hints, "accessibility"):  # Qt 6.10 tells of the system's wish for more contrast
        told.append(hints.accessibility().contrastPreferenceChanged)
    return told


class Appearance(QObject):
    """Applies the chosen theme and text scale to the application, and follows the system while "system" is chosen."""

    changed = Signal()

    def __init__(
        self,
        app: QApplication,
        choice: str = "system",
        text_scale: float = 1.0,
        system: Callable[[], str] = system_theme,
    ) -> None:
        """Applies at once. Unknown choices count as "system"; the scale is kept within SCALES. `system` names the theme
        that "system" means; it is asked again whenever Qt tells that this may have changed.
        """
        super().__init__(app)
        self._app, self._system = app, system
        self._choice: Choice = choice if choice in CHOICES else "system"
        self._scale = min(max(text_scale, SCALES[0]), SCALES[1])
        if _Running.theme is None:
            app.setStyle("Fusion")
        for told in _told_by_the_system():
            told.connect(self._follow)
        self._apply()

    @property
    def choice(self) -> Choice:
        return self._choice

    @property
    def text_scale(self) -> float:
        return self._scale

    @property
    def theme(self) -> Theme:
        """The theme that is shown: what "system" means just now, if that is the choice."""
        return load_theme(self._system() if self._choice == "system" else self._choice)

    @Slot(str)
    def choose(self, choice: str) -> None:
        """Shows "light", "dark" or "contrast" from now on, or follows the "system". Raises ValueError for others."""
        if choice not in CHOICES:
            raise ValueError(f"no appearance {choice!r}")
        if choice != self._choice:
            self._choice = choice
            self._apply()

    @Slot(float)
    def set_text_scale(self, scale: float) -> None:
        """Text `scale` times as large as the usual 14 px, from 1 to 2; values outside are brought inside."""
        scale = min(max(scale, SCALES[0]), SCALES[1])
        if scale != self._scale:
            self._scale = scale
            self._apply()

    @Slot(int)
    def step_text_scale(self, steps: int) -> None:
        """Larger by so many steps; 0: as at first."""
        self.set_text_scale(self._scale + steps * _SCALE_STEP if steps else 1.0)

    @Slot()
    def _follow(self) -> None:
        if self._choice == "system" and self.theme != _Running.theme:
            self._apply()

    def end(self) -> None:
        """Follows the system no longer; what is shown stays as it is."""
        for told in _told_by_the_system():
            told.disconnect(self._follow)
        self.setParent(None)
        self.deleteLater()

    def _apply(self) -> None:
        shown = (self.theme, self._scale)
        if shown == (_Running.theme, _Running.scale) and self._app.styleSheet():
            return  # every widget would be polished again
        _Running.theme, _Running.scale = shown
        self._app.setPalette(palette_of(self.theme))
        self._app.setFont(base_font())
        _Running.applied += 1
        template = resource("themes/style.qss").read_text("utf-8")
        self._app.setStyleSheet(filled_stylesheet(template, self.theme.tokens, self._scale, self._draw()))
        self.changed.emit()

    def _draw(self) -> dict[str, str]:
        """Style sheets take drawings as files only, in one colour each. Returns name -> path for `$icon_check`."""
        _Running.drawings = _Running.drawings or QTemporaryDir()
        paths = {}
        for name, token in _PAINTED.items():
            path = Path(_Running.drawings.path()) / f"{name}-{self.theme.name}.svg"
            path.write_text(svg(name, self.theme.tokens[token]), "utf-8")
            paths[f"icon_{name}"] = path.as_posix()
        return paths
