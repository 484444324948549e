# SPDX-License-Identifier: Apache-2.0
"""The Notes page: none, being looked at, ready, with things to look at, and not usable. Notes are invented."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from PySide6.QtWidgets import QDialog

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.notes.files import Looked, Progress, Wish, look_through
from fedmed_desktop.desktop.notes.page import NotesPage
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import EvaluatedRow, EvaluationShown
from fedmed_desktop.resources import resource
from fedmed_desktop.scores import TaskName
from fedmed_desktop.training.token_count import token_counter
from tests.parts.scene import phase
from tests.ui.scenes import Scene, once, settle
from tests.ui.scenes_of_rounds import nobody, told

Act = Callable[[Window, Desk], QDialog | None]

_DRUGS = ("aspirin", "warfarin", "metformin", "lisinopril", "insulin")
_FINDINGS = ("headache", "dyspnea", "melena", "chest pain", "a fall")


def write_troubled(folder: Path, rows: int = 60) -> Path:
    """A file of notes without a split, of which some cannot be used, some are alike, and some name a patient."""
    lines = []
    for number in range(rows):
        drug, finding = _DRUGS[number % 5], _FINDINGS[number // 5 % 5]
        dose, room = number * 7 % 90 + 5, number % 13
        text = f"Visit {number}. Given {drug} {dose} mg in room {room} for {finding} since day {number % 9}."
        if number in (7, 31):
            text += " Call 617-555-0142."
        if number == 12:
            text += " MRN: 48213977"
        entities = [
            {
                "id": f"e{k}",
                "start": text.index(words),
                "end": text.index(words) + len(words),
                "type": kind,
                "text": words,
            }
            for k, (words, kind) in enumerate(((drug, "drug"), (finding, "problem")))
        ]
        if number in (3, 40):
            entities[0]["start"] += 2
        lines.append(json.dumps({"id": f"n{number}", "text": text, "entities": entities, "patient": f"p{number // 3}"}))
    lines[20] = lines[20][:40]
    path = folder / "ward_7.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def troubled() -> Looked:
    with TemporaryDirectory() as folder:
        return look_through(Wish(str(write_troubled(Path(folder)))), Progress())


def _looked(page: NotesPage, wish: Wish, found: Looked | None, rows: int = 0) -> None:
    """As after a look, without waiting for one."""
    page.report.wish = wish
    page._show_parts()
    if found is None:
        page.report.show_checking(rows)
    else:
        page.report.show_found(found)


def _own(window: Window, desk: Desk) -> QDialog | None:
    page = window.notes
    page.report.stop()
    page._desk = desk
    wish = page._own()
    assert wish is not None and wish.spec is not None
    page._seen = wish
    here = Wish(str(resource("demo_notes") / "Lakeview"), model=str(resource("demo_model")), spec=wish.spec)
    found = once(lambda: look_through(here, Progress(), token_counter), "own notes", wish.spec.model_dump_json())
    _looked(page, wish, found)
    return None


def _of_others(found: Callable[[], Looked] | None, name: str = "ward_7.jsonl", rows: int = 0) -> Act:
    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        window.notes.report.stop()
        _looked(window.notes, Wish(f"notes/{name}"), found() if found else None, rows)
        return None

    return act


_KEYS: tuple[tuple[TaskName, str, str, float, float, bool, int], ...] = (
    ("entities", "strict", "all", 0.41, 0.69, True, 402),
    ("entities", "lenient", "all", 0.52, 0.78, True, 402),
    ("entities", "strict", "drug", 0.48, 0.74, True, 190),
    ("entities", "strict", "problem", 0.35, 0.64, True, 212),
    ("relations", "strict", "all", 0.12, 0.44, True, 160),
    ("codes", "strict", "all", 0.21, 0.24, False, 96),
    ("codes", "mean", "recall@10 category", 0.44, 0.52, True, 60),
)


def evaluated() -> EvaluationShown:
    rows = tuple(
        EvaluatedRow(
            task, measure, name, base, (base - 0.05, base + 0.06), support, other, (other - 0.04, other + 0.05),  # type: ignore[arg-type]
            round(other - base, 3), clear,
        )
        for task, measure, name, base, other, clear, support in _KEYS
    )  # fmt: skip
    return EvaluationShown("done", rows=rows, notes=150, documents=150, adapter="Federation, round 2")


def _shared(window: Window, desk: Desk) -> QDialog | None:
    _own(window, desk)
    window.notes.show_desk(desk)
    settle(window)
    window.notes.ensureWidgetVisible(window.notes.shared)
    return None


def _evaluation(shown: EvaluationShown) -> Act:
    def act(window: Window, desk: Desk) -> QDialog | None:
        desk.fold([shown])
        window.notes.evaluation.save = lambda folder: None
        _own(window, desk)
        window.notes.show_desk(desk)
        settle(window)
        bar = window.notes.verticalScrollBar()
        bar.setValue(bar.maximum())
        return None

    return act


def notes() -> list[Scene]:
    from tests.ui.scenes_of_other_pages import counting

    joined = told(phase("waiting"))
    return [
        Scene("notes", "none", nobody),
        Scene("notes", "looking", nobody, _of_others(None, rows=41_000)),
        Scene("notes", "own", joined, _own),
        Scene("notes", "shared", counting, _shared),
        Scene("notes", "evaluating", joined, _evaluation(EvaluationShown("running", 41, 300))),
        Scene("notes", "evaluated", joined, _evaluation(evaluated())),
        Scene("notes", "evaluated-others", joined, _evaluation(replace(evaluated(), source=Path("/srv/ward_7.jsonl")))),
        Scene("notes", "troubled", nobody, _of_others(troubled)),
        Scene(
            "notes",
            "unreadable",
            nobody,
            _of_others(lambda: look_through(Wish("resources/themes"), Progress()), "themes"),
        ),
    ]
