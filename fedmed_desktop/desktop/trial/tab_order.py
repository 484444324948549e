# SPDX-License-Identifier: Apache-2.0
"""Order in which Tab goes through Try it: from the note to what each side has found in it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from .page import TrialPage


def set_tab_order(page: TrialPage) -> None:
    order: list[QWidget] = [page.head.open, page.head.examples, page.head.save, page.head.read]
    order += [page.model.choose_model, page.model.choose_adapter]
    order += [page.note.editor, page.note.task.box, page.note.task.question, page.note.task.options]
    order += [page.note.types_line, page.note.edit, page.beside, page.blind.wanted, *page.blind.answers.values()]
    for side in page.sides.values():
        order += [side.box, side.text, side.answer.links, side.answer.text, side.choose]
    for first, then in pairwise(order):
        page.setTabOrder(first, then)
