# SPDX-License-Identifier: Apache-2.0
"""Columns of a table by what they hold: guessed by their names, or as a person has said; always there to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ...errors import UserFacingError

Role = Literal[
    "text",
    "id",
    "patient",
    "document",
    "codes",
    "summary",
    "question",
    "options",
    "answer",
    "specialty",
    "split",
    "entities",
    "relations",
]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

# The first that a table has is taken; written in small letters, with "_" for anything else.
_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    "text": (
        *("text", "note_text", "full_text", "report_text", "document_text", "clinical_note", "note", "notes", "report"),
        *("transcription", "narrative", "dialogue", "context", "abstract", "content", "contents", "body", "sentence"),
    ),
    "id": (
        *("id", "note_id", "noteid", "row_id", "record_id", "report_id", "sample_id", "uid", "uuid", "guid", "pmid"),
        *("pubid", "hash"),
    ),
    "patient": (
        *("patient", "patient_id", "patientid", "subject_id", "subject", "mrn", "medical_record_number", "person_id"),
        *("pat_id", "pid"),
    ),
    "document": (
        *("document", "document_id", "doc_id", "docid", "doc", "encounter", "encounter_id", "hadm_id", "visit_id"),
        *("visit", "admission_id", "stay_id", "case_id", "file", "filename", "file_name"),
    ),
    "codes": (
        *("codes", "icd10", "icd_10", "icd10cm", "icd_10_cm", "icd10_cm", "icd10_codes", "icd_10_codes"),
        *("icd10cm_codes", "icd_codes", "icd10_code", "icd_10_code", "icd10cm_code", "icd_code", "code"),
        *("diagnosis_codes", "diagnosis_code"),
    ),
    "summary": ("summary", "summaries", "highlights"),
    "question": ("question", "query"),
    "options": ("options", "choices"),
    "answer": (
        *("answer", "correct_answer", "correct_option", "final_decision", "answer_idx", "answer_index", "correct"),
        *("gold", "cop"),
    ),
    "specialty": ("specialty", "speciality", "medical_specialty", "department", "service"),
    "split": ("split", "subset", "partition", "fold"),
    "entities": ("entities", "spans"),
    "relations": ("relations",),
}
_OPTION: Final = re.compile(r"(?:option|opt|op|choice)_?([a-j]|[0-9])|([a-e])")
_PLAIN_NAME: Final = re.compile(r"(?=.{1,30}$)[^\W\d]\w*(?:[ .\-/]\w+){0,3}")
_SHOWN: Final = 20


@dataclass(frozen=True)
class Columns:
    """Columns of a table by what they became; None: the table has none for it. `unread`: the others, in the table's
    order.

    `sheet`: the sheet of a workbook; `other_sheets`: those that were not read.
    """

    text: str | None = None
    id: str | None = None
    patient: str | None = None
    document: str | None = None
    codes: str | None = None
    summary: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: str | None = None
    specialty: str | None = None
    split: str | None = None
    entities: str | None = None
    relations: str | None = None
    unread: tuple[str, ...] = ()
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()

    def roles(self) -> Iterator[tuple[Role, str]]:
        """Each column that is read and what it became, in the order of `Role`."""
        for role in ROLES:
            value = getattr(self, role)
            for column in (value,) if isinstance(value, str) else value or ():
                yield role, column

    @property
    def usable(self) -> bool:
        """True if a row of the table makes a note: it has a text, or a question that stands for it."""
        return self.text is not None or self.question is not None


def guessed(header: Sequence[str], said: Mapping[str, str] | None = None) -> Columns:
    """The columns of a table with this header. `said`: role -> column (several options: with "," between them).

    Raises UserFacingError: `clinical.table_role`, `.table_column` where what was said does not fit.
    """
    found: dict[Role, str | tuple[str, ...]] = dict(_as_said(header, said or {}))
    taken = {name for value in found.values() for name in ([value] if isinstance(value, str) else value)}
    plain = {_plain(name): name for name in reversed(header) if name and name not in taken}
    for role, names in _NAMES.items():
        if role not in found and (name := next((plain[one] for one in names if one in plain), None)):
            found[role] = name
            del plain[_plain(name)]
    if "options" not in found and (options := _options(plain)):
        found["options"] = options
    if isinstance(alone := found.get("options"), str):
        found["options"] = (alone,)
    # Conversations with the notes that were written from them.
    if "dialogue" in plain and "summary" not in found and "text" not in (said or {}):
        found["summary"], found["text"] = found["text"], plain["dialogue"]
    read = {name for value in found.values() for name in ([value] if isinstance(value, str) else value)}
    unread = tuple(dict.fromkeys(name for name in header if name and name not in read))
    return Columns(**found, unread=unread)  # type: ignore[arg-type]


def listed(header: Sequence[str]) -> str:
    """The columns' names for a message. A table without a header has note text there, which is never shown."""
    names = [name.strip() for name in header if name.strip()]
    if not names:
        return "none"
    if not all(_PLAIN_NAME.fullmatch(name) for name in names):
        return "its first row does not look like names of columns"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _as_said(header: Sequence[str], said: Mapping[str, str]) -> Iterator[tuple[Role, str | tuple[str, ...]]]:
    known = set(header)
    for role, columns in said.items():
        if role not in ROLES:
            raise UserFacingError("clinical.table_role", role=role, known=", ".join(ROLES))
        names = [columns] if columns in known else [name.strip() for name in columns.split(",")]
        for name in names:
            if name not in known:
                raise UserFacingError("clinical.table_column", column=name, role=role, found=listed(header))
        yield role, tuple(names) if role == "options" else names[0]


def _options(plain: Mapping[str, str]) -> tuple[str, ...]:
    """Columns such as option_a, option_b or A, B, C, D, in the order of their letters or numbers."""
    matches = [(match, name) for one, name in plain.items() if (match := _OPTION.fullmatch(one))]
    named = sorted((match[1], name) for match, name in matches if match[1])
    single = sorted((match[2], name) for match, name in matches if match[2])
    chosen = named if len(named) > 1 else single if len(single) > 2 else []
    return tuple(name for _, name in chosen)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")
