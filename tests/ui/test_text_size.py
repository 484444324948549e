# SPDX-License-Identifier: Apache-2.0
"""Text keeps the size that a person chose, whatever else changes about it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.charts.legend import Legend, Line
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.widgets import Caption, Heading, Label, Overline, Sentence, Tag
from fedmed_desktop.desktop.widgets.labels import set_tone

KINDS = (Caption, Sentence, Overline, Heading, Tag, Label)


@pytest.mark.parametrize("kind", KINDS)
def test_that_words_grow_with_the_text_at_once_and_another_tone_does_not_shrink_them(
    look: Appearance, qtbot: QtBot, qapp: QApplication, kind: type[Label]
) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    label = kind("Write a reason first")
    QVBoxLayout(window).addWidget(label, 0, Qt.AlignmentFlag.AlignTop)
    window.show()
    qapp.processEvents()
    usual = label.font().pixelSize()
    look.set_text_scale(2.0)
    qapp.processEvents()
    large, height = label.font(), label.sizeHint().height()
    assert large.pixelSize() == 2 * usual
    for tone in ("bad", "warn", "dim"):
        label.set_tone(tone)
        qapp.processEvents()
        assert label.font() == large, tone
        assert label.sizeHint().height() == height, tone
    set_tone(label, "tone", "ok")
    assert label.font() == large


def test_that_a_charts_legend_grows_with_the_text_at_once(look: Appearance, qtbot: QtBot, qapp: QApplication) -> None:
    legend = Legend([Line("training", "series_1")])
    qtbot.addWidget(legend)
    legend.show()
    qapp.processEvents()
    look.set_text_scale(2.0)
    qapp.processEvents()
    assert legend.font().pixelSize() == 24
