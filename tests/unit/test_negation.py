# SPDX-License-Identifier: Apache-2.0
"""Mentions that a note denies are told apart from those that it states."""

from __future__ import annotations

import pytest

from fedmed_desktop.clinical import Span
from fedmed_desktop.clinical.negation import is_negated

CASES = [
    ("No fever was noted.", "fever", True),
    ("She denies chest pain.", "chest pain", True),
    ("No fever, chills or cough.", "cough", True),
    ("Without evidence of bleeding.", "bleeding", True),
    ("Pneumonia was ruled out by CT.", "Pneumonia", True),
    ("An infarction is unlikely.", "infarction", True),
    ("Negative for influenza.", "influenza", True),
    ("Admitted with fever.", "fever", False),
    ("No fever. Chest pain since Monday.", "Chest pain", False),
    ("No fever but chest pain since Monday.", "chest pain", False),
    ("She was never told of it by the ward that she was on with fever.", "fever", False),
    ("Not only fever was seen.", "fever", False),
    ("Warfarin was not stopped because of melena.", "melena", False),
]


@pytest.mark.parametrize(("text", "words", "negated"), CASES, ids=[case[0] for case in CASES])
def test_that_a_denied_mention_is_told_from_a_stated_one(text: str, words: str, negated: bool) -> None:
    start = text.index(words)
    assert is_negated(text, Span(start, start + len(words), "problem")) is negated
