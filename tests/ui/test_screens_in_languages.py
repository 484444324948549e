# SPDX-License-Identifier: Apache-2.0
"""Every page in every state in every language of the program, and in one of longer words: nothing is cut off.

In that one, all of whose letters have accents, nothing is left in English either. At 100 and at 200 % text. What is
shown in English, and names and keys, are tested in test_screens.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from fedmed_desktop.desktop.look.language import Language
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.wording.catalogue import languages
from tests.parts import slots
from tests.parts.translations import pseudo_language
from tests.ui.clipping import clipped
from tests.ui.english import left_in_english
from tests.ui.scenes import scenes, shown

pytestmark = pytest.mark.slow
OTHERS = sorted(set(languages()) - {"en"})
PSEUDO = "pseudo"
# Where every text is two fifths longer than in English, and twice as large, some pages are wider than the window and
# can be scrolled sideways; all else holds there too.
SCROLLS = (PSEUDO, 2.0)
WIDER = "the page is wider than the window"


@pytest.mark.parametrize("scale", [1.0, 2.0], ids=["100%", "200%"])
@pytest.mark.parametrize("language", [*OTHERS, PSEUDO])
def test_that_nothing_is_cut_off_in_any_language(
    qapp: QApplication, tmp_path: Path, language: str, scale: float
) -> None:
    spoken = Language(qapp, "de" if language == PSEUDO else language, pseudo_language() if language == PSEUDO else None)
    look = Appearance(qapp, "light", scale)
    found, may_scroll = {}, (language, scale) == SCROLLS
    try:
        for scene in scenes():
            slots.WATCH.begin()  # a new window with new pages; slots are held to their time by the tests in English
            with shown(scene, tmp_path, (1280, 720)) as stage:
                troubles = [trouble for trouble in clipped(stage.front) if not (may_scroll and WIDER in trouble)]
                if language == PSEUDO:
                    troubles += [f"in English: {text}" for text in left_in_english(stage.front)]
                if troubles:
                    found[scene.name] = troubles
    finally:
        look.set_text_scale(1.0)
        look.end()
        spoken.end()
    assert not found
