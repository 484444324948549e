# SPDX-License-Identifier: Apache-2.0
"""Small writers of the formats that notes are read from, and texts that are hard on offsets."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from fedmed_desktop.clinical.notes import Entity, Note, Relation
from fedmed_desktop.clinical.readers.record import Record

HARD_PIECES = (
    *(
        "\N{STETHOSCOPE}",
        "\u00e9",
        "e\u0301",
        "\U0001f469\u200d\u2695\ufe0f",
        "\u00df",
        "\r\n",
        "\n",
        "\t",
        '"',
        "'",
        "\f",
    ),
    *("\u2028", "5 mg", "aspirin", " ", "|t|", "&<>", "{", ";,"),
)


@st.composite
def annotated_notes(draw: st.DrawFn, pieces: Sequence[str] = HARD_PIECES, discontinuous: bool = True) -> Note:
    """A note of hard pieces with mentions that may overlap and nest, none with blanks at its edges."""
    text = "".join(draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=20))) + "end"
    text = "x" + text  # no format keeps blanks before or after everything
    spans = {}
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        kind = draw(st.sampled_from(("drug", "problem")))
        words = text[start:end]
        if words.strip() == words:
            fragments = None
            middle = start + (end - start) // 2
            if discontinuous and end - start >= 4 and draw(st.booleans()):
                parts = ((start, middle - 1), (middle, end))
                good = all(text[a:b].strip() == text[a:b] and a < b for a, b in parts)
                fragments = parts if good else None
            spans[(start, end, kind)] = fragments
    entities = tuple(
        Entity(id=f"T{number}", start=start, end=end, type=kind, text=text[start:end], fragments=fragments)
        for number, ((start, end, kind), fragments) in enumerate(spans.items(), 1)
    )
    links = tuple(Relation(head=one.id, tail=other.id, type="treats") for one, other in pairwise(entities))
    return Note(id="n1", text=text, entities=entities, relations=links)


def marked(note: Note | None) -> tuple[str, list[tuple[int, int, str, str]], list[tuple[str, str, str]]]:
    """What must come back: the text, its mentions, and its relations by the mentions' words."""
    assert note is not None
    by_id = {entity.id: entity.text for entity in note.entities}
    links = [(by_id[one.head], one.type, by_id[one.tail]) for one in note.relations]
    return note.text, [(e.start, e.end, e.type, e.text) for e in note.entities], links


def only(records: Sequence[Record]) -> Record:
    """The one record that is there, with a note whose spans are on their words."""
    (record,) = records
    assert record.note is not None, record
    for entity in record.note.entities:
        assert record.note.text[entity.start : entity.end] == entity.text
    return record


def csv_text(rows: Sequence[Sequence[str]], separator: str = ",") -> str:
    """CSV as Python's own module writes it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator).writerows(rows)
    return file.getvalue()


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[str | float | None]]]) -> None:
    """A workbook of strings and numbers, the least that Excel's readers take; an empty row is left out."""
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    numbers = range(1, len(sheets) + 1)
    names = "".join(f'<sheet name="{escape(n)}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packages}/relationships"><Relationship Id="r0" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}/relationships">'
        + "".join(f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/s{i}.xml"/>' for i in numbers)
        + "</Relationships>",
    }
    for number, rows in enumerate(sheets.values(), 1):
        cells = "".join(f'<row r="{r}">{_cells(row, r)}</row>' for r, row in enumerate(rows, 1) if row)
        parts[f"xl/worksheets/s{number}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            file.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + part)


def _cells(row: Sequence[str | float | None], number: int) -> str:
    written = ""
    for column, value in enumerate(row):
        place = f"{chr(ord('A') + column)}{number}"
        if isinstance(value, str):
            text = f'<t xml:space="preserve">{escape(value)}</t>'
            written += f'<c r="{place}" t="inlineStr"><is>{text}</is></c>'
        elif value is not None:
            written += f'<c r="{place}"><v>{value}</v></c>'
    return written
