# SPDX-License-Identifier: Apache-2.0
"""Card beside the join form: three of the notes with their entities marked, and what their types become."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...wording import written
from ..look.entities import colors, count_types
from ..widgets import Caption, Card, KeyValueRows, Pair, Sentence, Spaced
from ..widgets.entity_legend import EntityLegend
from ..widgets.labels import set_tone
from ..widgets.layout import fit_rows
from ..widgets.marked_text import MarkedText
from .preview import NotesPreview, ShownNote, TypeRow

_MOST_TYPES = 8


class ShownNoteRow(Spaced):
    """One note of the preview."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 4, 0, 8), 0)
        self.text = MarkedText(name, grows=True)
        column.addWidget(self.text)


class PreviewCard(Card):
    """Preview of the notes folder; a sentence while there is nothing to show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Your notes, as training will see them"), parent=parent)
        self._none = Sentence()
        self.types = KeyValueRows()
        self._more = Caption(wrap=True)
        self.legend = EntityLegend()
        self._notes = QVBoxLayout()
        self._notes.setSpacing(0)
        self.rows: list[ShownNoteRow] = []
        self._here = Caption(self.tr("Shown on this screen only; nothing is copied or sent."), wrap=True)
        self.add(self._none)
        self.add(self.types)
        self.add(self._more)
        self.add(self.legend)
        self.content.addLayout(self._notes)
        self.add(self._here)
        self.show_preview(None)

    def show_preview(self, preview: NotesPreview | None, waiting: bool = False) -> None:
        """None: nothing to show yet; `waiting` while the notes are being read."""
        self._none.setText(
            self.tr("Reading your notes…")
            if waiting
            else self.tr(
                "Once a notes folder is chosen, three of its notes are shown here, with their entities marked."
            )
        )
        self._none.setVisible(preview is None)
        for widget in (self.types, self.legend, self._here):
            widget.setVisible(preview is not None)
        self._more.setVisible(False)
        self._show_notes(preview.notes if preview else ())
        if preview:
            self._show_types(preview.types)

    def _show_types(self, types: tuple[TypeRow, ...]) -> None:
        shown = types[:_MOST_TYPES]
        self.types.show_pairs(
            [
                Pair(f"{row.local} · {written(row.count)}", f"→ {row.becomes}", "ink" if row.target else "dim")
                for row in shown
            ]
        )
        if len(types) > _MOST_TYPES:
            self._more.setText(self.tr("and {n} more types").format(n=len(types) - _MOST_TYPES))
            self._more.setVisible(True)

    def _show_notes(self, notes: tuple[ShownNote, ...]) -> None:
        fit_rows(self.rows, len(notes), self._notes, self._new_row)
        spans = [span for note in notes for span in note.spans]
        known = colors(span.type for span in spans)
        for number, (row, note) in enumerate(zip(self.rows, notes, strict=True)):
            row.text.set_colors(known)
            row.text.show_text(note.text, note.spans)
            set_tone(row, "last", number == len(notes) - 1)
        self.legend.show_types(count_types(spans), known)
        self._hide(self.legend.hidden())

    def _new_row(self) -> ShownNoteRow:
        row = ShownNoteRow(self.tr("Note {n} of your folder").format(n=len(self.rows) + 1))
        self.legend.hidden_changed.connect(row.text.set_hidden)
        return row

    @Slot(object)
    def _hide(self, types: frozenset[str]) -> None:
        for row in self.rows:
            row.text.set_hidden(types)
