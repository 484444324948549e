# SPDX-License-Identifier: Apache-2.0
"""The language of the desktop: chosen or the system's, from the next start; Qt's own words and numbers follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale, QObject
from PySide6.QtWidgets import QApplication, QDialogButtonBox
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.look.language import Language, customs_of, language_for
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.monitor.controls import MonitorControls
from fedmed_desktop.wording import moment, tr, written
from fedmed_desktop.wording.catalogue import Catalogue, languages
from tests.parts.ui import Desktop
from tests.ui.scenes import scenes, shown

Speak = Callable[[str, Catalogue | None], Language]
TEXTS = {("Known", "Rounds", ""): ("Durchgänge",), ("", "Rounds", ""): ("Runden",)}


class Known(QObject):
    pass


@pytest.fixture
def speak(qapp: QApplication) -> Iterator[Speak]:
    made: list[Language] = []

    def start(language: str, catalogue: Catalogue | None = None) -> Language:
        made.append(Language(qapp, language, catalogue))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.mark.parametrize(
    ("choice", "system", "language"),
    [
        ("system", ["de-Latn-AT", "de-AT", "de"], "de"),
        ("system", ["fr_CA", "en"], "fr"),
        ("system", ["it-IT", "it", "es-ES"], "es"),
        ("system", ["den-CA"], "en"),
        ("system", ["C"], "en"),
        ("system", [], "en"),
        ("fr", ["de-DE"], "fr"),
        ("en", ["de-DE"], "en"),
        ("xx", ["de-DE"], "de"),
    ],
)
def test_that_the_choice_counts_before_the_languages_of_the_system(
    choice: str, system: list[str], language: str
) -> None:
    assert language_for(choice, system) == language


def test_that_both_kinds_of_texts_and_qts_own_words_are_said_in_it(speak: Speak, qtbot: QtBot) -> None:
    language = speak("de", Catalogue("de", TEXTS))
    assert Known().tr("Rounds") == "Durchgänge" and tr("Rounds") == "Runden"
    assert Known().tr("Monitor") == tr("Monitor") == "Monitor"
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    qtbot.addWidget(box)
    assert box.button(QDialogButtonBox.StandardButton.Cancel).text() == "Abbrechen"
    language.end()
    assert Known().tr("Rounds") == tr("Rounds") == "Rounds"
    assert QCoreApplication.translate("QPlatformTheme", "Cancel") == "Cancel"


@pytest.mark.parametrize(
    ("language", "number", "day", "stamp"),
    [
        ("de", "1.234.567,5", "3.", "03.06.2026 14:05:09"),
        ("fr", "1\u202f234\u202f567,5", "3", "03/06/2026 14:05:09"),
        ("es", "1.234.567,5", "3", "03/06/2026 14:05:09"),
    ],
)
def test_that_numbers_and_moments_are_written_as_in_the_language(
    language: str, number: str, day: str, stamp: str, speak: Speak
) -> None:
    speak(language, Catalogue(language, {}))
    time = datetime(2026, 6, 3, 14, 5, 9).astimezone()
    assert written(1234567.5, ",.1f") == number
    short, locale = QLocale.FormatType.ShortFormat, QLocale(language)
    near = f"{locale.dayName(3, short)} {day} {locale.monthName(6, short)}, 14:05"
    assert moment(time, "near") == near and moment(time, "stamp") == stamp


def test_that_the_systems_own_customs_count_within_a_language() -> None:
    swiss = customs_of("de", QLocale("de_CH"))
    assert (swiss.group, swiss.point) == ("'", ".") and customs_of("de", QLocale("de")).group == "."


def test_that_the_strength_of_smoothing_is_written_as_in_the_language(speak: Speak, qtbot: QtBot) -> None:
    speak("de", Catalogue("de", {("MonitorControls", "0.6", ""): ("0,6",)}))
    controls = MonitorControls()
    qtbot.addWidget(controls)
    controls.show_options("0.6", "step", False, False)
    assert controls.smoothing.text() == "Smoothing 0,6"


@pytest.mark.skipif("de" not in languages(), reason="German is not there")
def test_that_a_chosen_language_is_spoken_from_the_next_start(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    one = desktop().begin()
    one.window.show_settings()
    box = one.window.settings.appearance.language
    assert box.key() == "system" and "English" in box.currentText()
    box.choose("de")
    box.chosen.emit()
    assert one.program.settings.values.language == "de" and tr("Notes") == "Notes"
    one.close()
    again = desktop().begin()
    assert again.window._navigation.button(0).text() == tr("Rounds") != "Rounds"
    again.window.show_settings()
    assert again.window.settings.appearance.language.currentText() == "Deutsch"
    again.until(lambda: "the desktop has started" in again.program.log_path.read_text("utf-8"))
    again.close()
    assert tr("Rounds") == "Rounds"


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_that_a_decision_fits_into_its_page_at_twice_the_size_of_text(
    language: str, speak: Speak, look: Appearance, tmp_path: Path
) -> None:
    speak(language, None)
    look.set_text_scale(2.0)
    scene = next(scene for scene in scenes() if scene.name == "approvals-pending")
    with shown(scene, tmp_path, (1280, 720)) as stage:
        page = stage.window.approvals
        assert page.widget().width() <= page.viewport().width()
