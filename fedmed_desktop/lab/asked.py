# SPDX-License-Identifier: Apache-2.0
"""Questions and summaries of corpora, as the fields of a note."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..clinical import Note
from ..scores import TaskName

_ASSESSMENT: Final = re.compile(r"^[ \t]*(?:ASSESSMENT|PLAN|IMPRESSION)\b[^a-z\n]*$", re.MULTILINE)


def asked_fields(corpus: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The text of a record and what is asked about it; no more than the text of other corpora.

    ACI-BENCH's notes come without the visits' dialogues. What stands in for these is the note up to the doctor's
    assessment, from which that and the plan are to be written. Raises KeyError, TypeError, ValueError.
    """
    if corpus == "aci_bench":
        return _visit(str(record["text"]))
    if corpus == "codiesp":
        return {"text": record["text"], "codes": record["codes"]}
    if corpus not in ("pubmedqa", "medmcqa"):
        return {"text": record["text"]}
    letters = sorted(record["options"])
    asked = {
        "options": [record["options"][letter] for letter in letters],
        "answer": letters.index(record["answer"]),
    }
    if corpus == "medmcqa":
        return {"text": record["question"], **asked}
    return {"text": record["context"], "question": record["question"], **asked}


def asked_of(note: Note) -> set[TaskName]:
    """The tasks besides entities and relations that a note has labels for."""
    there: dict[TaskName, bool] = {
        "codes": bool(note.codes),
        "questions": note.answer is not None,
        "summaries": note.summary is not None,
    }
    return {task for task, has in there.items() if has}


def _visit(text: str) -> dict[str, Any]:
    found = _ASSESSMENT.search(text)
    if found is None or not text[: found.start()].strip() or not text[found.start() :].strip():
        return {"text": text}
    return {"text": text[: found.start()].strip(), "summary": text[found.start() :].strip()}
