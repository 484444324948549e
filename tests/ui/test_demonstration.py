# SPDX-License-Identifier: Apache-2.0
"""Before a demonstration starts, a person may choose its method, and read what that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.demo.settings import OVERFITTED_NOTES, DemoOptions
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.rounds.demonstration import DemonstrationDialog
from fedmed_desktop.desktop.rounds.duration import LONGER_MINUTES, preparing
from fedmed_desktop.federation.methods import METHODS
from tests.parts.ui import SITE, Desktop


def opened(desktop: Callable[..., Desktop], folder: Path) -> Desktop:
    one = desktop().begin()
    (folder / "none" / SITE).mkdir(parents=True)  # a site without notes: it starts, and says what is missing
    one.program.demo_options = DemoOptions(report=folder / "report", notes=folder / "none")
    one.click(one.window.rounds.empty.buttons[1])
    return one


def test_that_every_method_is_offered_with_its_name_and_what_it_does(
    desktop: Callable[..., Desktop], tmp_path: Path
) -> None:
    dialog = opened(desktop, tmp_path).program.demonstration
    assert dialog.isVisible() and dialog.methods.key() == "fed_medlora"
    assert not dialog.methods.isVisible(), "the usual one is chosen; others are for who knows why"
    dialog.advanced.link.click()
    assert dialog.methods.isVisible()
    keys = {str(dialog.methods.itemData(row)) for row in range(dialog.methods.count())}
    assert keys == set(METHODS)
    before = dialog.summary.text()
    dialog.methods.choose("fedopal")
    assert dialog.methods.currentText() == "FedOPAL"
    assert "personal" in dialog.summary.text() != before


def test_that_the_guide_opens_at_the_chosen_method(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    one = opened(desktop, tmp_path)
    one.program.demonstration.advanced.link.click()
    one.program.demonstration.methods.choose("scaffold")
    one.click(one.program.demonstration.about)
    guide = one.window.guide()
    assert guide.isVisible() and guide.page == "method-scaffold"
    assert one.program.demonstration.isVisible()
    one.click(guide.close_button)  # a modal window would not let it be read or closed
    assert not guide.isVisible()


def test_that_the_demonstration_runs_by_what_was_chosen(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    one = opened(desktop, tmp_path)
    one.program.demonstration.methods.choose("flexlora")
    one.click(one.program.demonstration.start)
    assert one.program.demo_options.method == "flexlora" and one.desk.session is not None
    assert not one.program.demo_options.overfitted
    one.until(lambda: one.desk.ended is not None)


def test_that_a_site_may_learn_its_notes_by_heart(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    one = opened(desktop, tmp_path)
    one.program.demonstration.overfitted.setChecked(True)
    one.click(one.program.demonstration.start)
    assert one.program.demo_options.overfitted
    one.until(lambda: one.desk.ended is not None)
    from fedmed_desktop.demo.federation import demo_sites

    few, usual = (demo_sites(DemoOptions(overfitted=overfitted))[0].notes for overfitted in (True, False))
    assert (len(few.train), few.validation) == (OVERFITTED_NOTES, usual.validation) and len(usual.train) > 500


def test_that_it_trains_longer_where_that_was_chosen(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    one = opened(desktop, tmp_path)
    assert f"about {LONGER_MINUTES} minutes" in one.program.demonstration.longer.text()
    one.program.demonstration.longer.setChecked(True)
    one.click(one.program.demonstration.start)
    assert one.program.demo_options.longer and one.desk.session is not None and one.desk.session.longer
    assert f"about {LONGER_MINUTES} minutes" in preparing(one.desk)
    one.until(lambda: one.desk.ended is not None)


def test_that_escape_starts_nothing(desktop: Callable[..., Desktop], tmp_path: Path, qtbot: QtBot) -> None:
    one = opened(desktop, tmp_path)
    qtbot.keyClick(one.program.demonstration, Qt.Key.Key_Escape)
    assert one.desk.session is None


def test_that_nothing_is_chosen_any_more_once_something_else_has_begun(
    desktop: Callable[..., Desktop], tmp_path: Path, tiny_model: Path, notes: Path
) -> None:
    one = opened(desktop, tmp_path)
    assert one.program.demonstration.isVisible()
    one.join("ws://127.0.0.1:9", tiny_model, notes)
    one.until(lambda: not one.program.demonstration.isVisible())


@pytest.mark.slow
def test_that_the_dialog_grows_with_its_letters_while_it_is_open(
    desktop: Callable[..., Desktop], tmp_path: Path
) -> None:
    one = opened(desktop, tmp_path)
    dialog, before = one.program.demonstration, one.program.demonstration.height()
    dialog.advanced.link.click()
    for _ in range(4):
        one.program.appearance.step_text_scale(1)
    try:
        one.until(lambda: dialog.height() > before and dialog.about.height() >= dialog.about.sizeHint().height())
    finally:
        one.program.appearance.step_text_scale(0)


def test_that_every_choice_fits_a_small_screen_at_twice_the_text(qtbot: QtBot, look: Appearance) -> None:
    look.set_text_scale(2.0)
    above = QWidget()
    qtbot.addWidget(above)
    dialog = DemonstrationDialog(above, "fed_medlora")
    dialog.show()
    dialog.advanced.link.click()
    for method in METHODS:
        dialog.methods.choose(method)
        QApplication.processEvents()
        assert dialog.width() <= 1280 and dialog.height() <= 720, method
