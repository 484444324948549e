# SPDX-License-Identifier: Apache-2.0
"""The six words on Rounds: until they were compared, again when asked for, and always while the host waits."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.rounds.identity import SixWords
from fedmed_desktop.desktop.rounds.identity_card import IdentityCard

LEFT = Qt.MouseButton.LeftButton
WORDS = SixWords("amber-otter-candle-river-jacket-moon", waits=False)


@pytest.fixture
def card(qtbot: QtBot) -> IdentityCard:
    made = IdentityCard()
    qtbot.addWidget(made)
    made.show_words(WORDS)
    made.show()
    return made


def test_that_the_words_stand_there_until_they_are_the_same(qtbot: QtBot, card: IdentityCard) -> None:
    assert card.words.text() == WORDS.words and not card.is_done
    with qtbot.waitSignal(card.compared) as told:
        qtbot.mouseClick(card.same, LEFT)
    assert told.args == [WORDS.words] and card.is_done and card.isHidden()
    card.ask()
    assert card.isVisible()
    card.ask()
    assert card.isHidden()


def test_that_words_that_differ_lead_to_leaving(qtbot: QtBot, card: IdentityCard) -> None:
    with qtbot.waitSignal(card.differ):
        qtbot.mouseClick(card.other, LEFT)
    assert card.isVisible() and not card.is_done


def test_that_words_compared_before_are_not_asked_for_again_but_other_ones_are(card: IdentityCard) -> None:
    card.done = WORDS.words
    card.show_words(WORDS)
    assert card.isHidden()
    card.show_words(SixWords("other-words-of-another-coordinators-key", waits=False))
    assert card.isVisible() and not card.is_done


def test_that_the_words_stay_while_the_host_waits(card: IdentityCard) -> None:
    card.done = WORDS.words
    card.show_words(SixWords(WORDS.words, waits=True))
    assert card.isVisible() and card.same.isHidden()
    card.show_words(None)
    assert card.isHidden()
