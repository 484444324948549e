# SPDX-License-Identifier: Apache-2.0
"""Every text of the desktop is translated: in a language of accented letters no page shows a word in plain ones.

Here in one state of each page; in every state where it is shown in that language anyway, in test_screens_in_languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.frame.pages import PAGES
from fedmed_desktop.desktop.look.language import Language
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import SENTENCES, in_english, told, tr
from fedmed_desktop.wording.catalogue import Catalogue
from tests.parts.translations import pseudo_language, spoken
from tests.ui.english import left_in_english
from tests.ui.scenes import Stage, scenes, shown

FIRST_OF_PAGE = list({scene.page: scene.name for scene in reversed(scenes())}.values())


@pytest.fixture(scope="module")
def language(qapp: QApplication) -> Iterator[Catalogue]:
    made = pseudo_language()
    spoken_now = Language(qapp, "de", made)
    yield made
    spoken_now.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(params=FIRST_OF_PAGE)
def stage(request: pytest.FixtureRequest, language: Catalogue, qtbot: QtBot, folder: Path) -> Iterator[Stage]:
    scene = next(scene for scene in scenes() if scene.name == request.param)  # made in the language
    with shown(scene, folder, (1280, 720)) as made:
        yield made


def test_that_no_text_of_a_page_is_left_in_english(stage: Stage) -> None:
    assert not left_in_english(stage.front)


def test_that_a_text_in_english_is_seen(language: Catalogue, qtbot: QtBot) -> None:
    label = QLabel("Approve it")
    label.setToolTip(spoken("Approve it"))
    qtbot.addWidget(label)
    label.show()
    assert left_in_english(label) == {"Approve it": "QLabel"}


def test_that_an_error_is_told_in_the_language(language: Catalogue) -> None:
    error = UserFacingError("update.wrong_rank", module="q_proj", found=4, expected=8)
    assert told(error) == spoken(SENTENCES[error.code]).format(**error.params)
    assert all(("errors", sentence, "") in language.texts for sentence in SENTENCES.values())


def test_that_the_log_stays_english(language: Catalogue) -> None:
    with in_english():
        assert told(UserFacingError("update.wrong_rank", module="q_proj", found=4, expected=8)).isascii()
        assert tr("%n token(s)", "", 1234) == "1,234 tokens"
    assert tr("%n token(s)", "", 1234) == spoken("%n token(s)").replace("%n", "1.234")


@pytest.mark.parametrize("page", PAGES)
def test_that_from_right_to_left_every_page_is_there_and_the_navigation_stands_on_the_right(
    page: str, language: Catalogue, qtbot: QtBot, qapp: QApplication, folder: Path
) -> None:
    scene = next(scene for scene in scenes() if scene.page == page)
    qapp.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    try:
        with shown(scene, folder, (1280, 720)) as made:
            bar, shown_page = made.window._navigation, made.window.pages.currentWidget()
            assert bar.mapTo(made.window, bar.rect().topLeft()).x() > shown_page.mapTo(made.window, QPoint()).x()
            assert bar.isVisible() and shown_page.isVisible() and not made.window.grab().isNull()
    finally:
        qapp.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
