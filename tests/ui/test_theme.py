# SPDX-License-Identifier: Apache-2.0
"""Every theme can be read by everyone, follows the system while it runs, and its icons take the colour of the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QImage, QPalette
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.look import theme
from fedmed_desktop.desktop.look.files import load_tokens
from fedmed_desktop.desktop.look.icons import app_icon, icon, icon_size
from fedmed_desktop.desktop.look.theme import Appearance, chosen_family, load_theme
from fedmed_desktop.desktop.look.tokens import ENTITIES, MARKS_ON, TEXT_ON, THEMES, contrast, filled_stylesheet, mixed
from fedmed_desktop.resources import resource

DESKTOP = Path(theme.__file__).parents[1]
DRAWINGS = sorted(path.stem for path in resource("icons").glob("*.svg"))
LINES = [name for name in DRAWINGS if name != "app"]


# The token files


def test_that_contrast_is_computed_as_the_guidelines_say() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)
    assert contrast("#FFFFFF", "#777777") == contrast("#777777", "#FFFFFF")
    assert mixed("#FF0000", "#FFFFFF", 0.5) == "#FF8080"


@pytest.mark.parametrize("name", THEMES)
def test_that_text_can_be_read_on_every_ground_it_stands_on(name: str) -> None:
    tokens, least = load_tokens(name), 7.0 if name == "contrast" else 4.5
    poor = {pair: contrast(tokens[pair[0]], tokens[pair[1]]) for pair in TEXT_ON}
    assert not {pair: round(ratio, 2) for pair, ratio in poor.items() if ratio < least}


@pytest.mark.parametrize("name", THEMES)
def test_that_controls_chart_lines_and_the_focus_ring_are_seen(name: str) -> None:
    tokens = load_tokens(name)
    poor = {pair: contrast(tokens[pair[0]], tokens[pair[1]]) for pair in MARKS_ON}
    assert not {pair: round(ratio, 2) for pair, ratio in poor.items() if ratio < 3}


@pytest.mark.parametrize("name", THEMES)
def test_that_marked_words_and_their_type_can_be_read(name: str) -> None:
    tokens, least = load_tokens(name), 7.0 if name == "contrast" else 4.5
    for entity in ENTITIES:
        fill = tokens.entity_fill(entity)
        assert contrast(tokens["ink"], fill) >= least, entity
        assert contrast(tokens[entity], fill) >= least, entity
        assert contrast(tokens[entity], tokens["card"]) >= least, entity


def test_that_all_themes_have_the_same_tokens() -> None:
    light = load_tokens("light")
    assert all(load_tokens(name).colors.keys() == light.colors.keys() for name in THEMES)
    assert [load_tokens(name).is_dark for name in THEMES] == [False, True, True]


def test_that_an_unknown_theme_or_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="mauve"):
        load_tokens("mauve")
    with pytest.raises(KeyError):
        load_theme("light").color("mauve")
    with pytest.raises(KeyError):
        filled_stylesheet("QLabel { color: $mauve; }", load_tokens("light"), 1.0, {})


def test_that_sizes_follow_the_text_scale_and_space_half_of_it() -> None:
    filled = filled_stylesheet("${px14} ${gap8} ${round14} $ink", load_tokens("light"), 2.0, {})
    assert filled == "28px 12px 15px #1A1F26"


# The running look


def test_that_a_chosen_theme_is_shown_at_once(appearance: Appearance, qapp: QApplication, qtbot: QtBot) -> None:
    label = QLabel("words")
    qtbot.addWidget(label)
    label.show()
    with qtbot.waitSignal(appearance.changed):
        appearance.choose("dark")
    dark = load_theme("dark")
    assert theme.active() is dark is appearance.theme
    assert qapp.palette().color(QPalette.ColorRole.Window) == dark.color("bg")
    assert label.palette().color(QPalette.ColorRole.WindowText) == dark.color("ink")
    assert "$" not in re.sub(r"/\*.*?\*/", "", qapp.styleSheet(), flags=re.DOTALL)


class System:
    """A desktop whose settings are changed while programs run; the offscreen platform has none."""

    def __init__(self) -> None:
        self.theme = "light"

    def __call__(self) -> str:
        return self.theme

    def change(self, name: str) -> None:
        self.theme = name
        QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Unknown)


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def appearance(qapp: QApplication, system: System) -> Iterator[Appearance]:
    made = Appearance(qapp, "light", system=system)
    yield made
    made.choose("light")
    made.set_text_scale(1.0)
    made.end()


def test_that_the_system_is_followed_while_the_program_runs(
    appearance: Appearance, system: System, qtbot: QtBot
) -> None:
    appearance.choose("system")
    assert theme.active().name == "light"
    for name in ("dark", "contrast", "light"):
        with qtbot.waitSignal(appearance.changed):
            system.change(name)
        assert theme.active().name == name


def test_that_a_pinned_theme_stays_when_the_system_changes(
    appearance: Appearance, system: System, qtbot: QtBot
) -> None:
    appearance.choose("contrast")
    with qtbot.assertNotEmitted(appearance.changed):
        system.change("dark")
    assert theme.active().name == "contrast"


def test_that_the_text_scale_is_applied_and_kept_within_its_bounds(appearance: Appearance, qapp: QApplication) -> None:
    assert qapp.font().pixelSize() == 14
    appearance.set_text_scale(1.5)
    assert (qapp.font().pixelSize(), theme.px(18), theme.gap(8)) == (21, 27, 10)
    appearance.set_text_scale(9.0)
    assert (appearance.text_scale, qapp.font().pixelSize()) == (2.0, 28)
    appearance.set_text_scale(0.1)
    assert appearance.text_scale == 1.0


def test_that_an_unknown_choice_is_refused_later_and_means_system_at_start(qapp: QApplication) -> None:
    made = Appearance(qapp, "mauve")  # such as from a settings file of a later version
    assert made.choice == "system"
    with pytest.raises(ValueError, match="mauve"):
        made.choose("mauve")
    made.choose("light")
    made.end()


def test_that_the_systems_own_font_is_taken_unless_it_is_a_stopgap() -> None:
    assert chosen_family("Segoe UI Variable", {"Inter"}.__contains__) == "Segoe UI Variable"
    assert chosen_family("DejaVu Sans", {"Noto Sans", "Inter"}.__contains__) == "Inter"
    assert chosen_family("Sans", set[str]().__contains__) == "Sans"


# Icons


def opaque_colours(picture: QIcon, size: QSize) -> set[str]:
    image = picture.pixmap(size, 1.0).toImage().convertToFormat(QImage.Format.Format_ARGB32)
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {pixel.name() for pixel in pixels if pixel.alpha() == 255}


def test_that_line_icons_are_drawn_in_the_colour_asked_for(qapp: QApplication) -> None:
    for name in LINES:
        assert opaque_colours(icon(name, QColor("#AB12CD"), 48), QSize(48, 48)) == {"#ab12cd"}, name


def test_that_line_icons_have_one_stroke_on_one_grid() -> None:
    for name in LINES:
        text = resource(f"icons/{name}.svg").read_text("utf-8")
        assert re.findall(r'stroke-width="([^"]+)"', text) == ["1.75"], name
        for trait in ('viewBox="0 0 24 24"', 'stroke="currentColor"', 'stroke-linecap="round"'):
            assert trait in text, name


def test_that_an_icon_is_sharp_on_a_dense_screen_and_keeps_space_before_the_word(qapp: QApplication) -> None:
    made = icon("rounds", "ink", 18, space=6)
    assert made.pixmap(QSize(24, 18), 2.0).size() == QSize(48, 36)
    assert icon_size(6) == QSize(theme.px(18) + 6, theme.px(18))
    image = made.pixmap(QSize(24, 18), 1.0).toImage()
    assert not any(image.pixelColor(x, y).alpha() for x in range(18, 24) for y in range(18))


def test_that_the_programs_mark_is_seen_at_16_pixels(qapp: QApplication) -> None:
    colours = opaque_colours(app_icon(), QSize(16, 16))
    assert {"#1f6fb2", "#ffffff"} <= colours


def test_that_a_drawing_which_is_not_there_is_an_error(qapp: QApplication) -> None:
    with pytest.raises(FileNotFoundError, match="unicorn"):
        icon("unicorn")


ICON_FIRST = {"Icon", "icon", "drawn", "paint_icon", "EmptyState", "add_page", "show_icon", "set_icon"}
ICON_SECOND = {"Button", "PrimaryButton", "LinkButton"}


def named_icons(path: Path) -> Iterator[str]:
    """Drawings that a file names where a widget takes one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        at = 0 if called in ICON_FIRST else 1 if called in ICON_SECOND else None
        given = [keyword.value for keyword in node.keywords if keyword.arg == "icon"]
        given += node.args[at : at + 1] if at is not None else []
        yield from (value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str))


def test_that_every_icon_named_in_the_program_is_drawn() -> None:
    named = {name for path in DESKTOP.rglob("*.py") for name in named_icons(path)} - {""}
    assert named, "the search found nothing: it looks in the wrong place"
    assert named <= set(DRAWINGS)
