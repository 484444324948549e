# SPDX-License-Identifier: Apache-2.0
"""Reads a site's record, marks it, and writes exports of it. Not for the GUI thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from ...errors import UserFacingError
from ...files import write_durably
from ...site.reviewing import mark_reviewed
from ...storage.audit_file import AuditFile, as_csv, as_json, verify_audit
from ...storage.secrets import NOTE, load_key
from ...wording import told, tr
from .view import HistoryView, history_view

Ending = Literal["csv", "pdf", "json"]
ENDINGS: Final[tuple[Ending, ...]] = ("csv", "pdf", "json")


@dataclass(frozen=True)
class Looked:
    """Outcome of a look. `problem`: why there is nothing to show, "" where there is simply no record yet.

    `compared`: how many hashes that one side holds of the other were found; -1 where nothing was compared. `other`:
    what is wrong with the other side's record.
    """

    folder: Path
    file: AuditFile | None = None
    view: HistoryView = field(default_factory=HistoryView)
    problem: str = ""
    compared: int = -1
    other: UserFacingError | None = None


def look(folder: Path, against: Path | None = None) -> Looked:
    """Reads and checks all of the record in a site's folder; perhaps against the other side's."""
    try:
        verdict = verify_audit(folder, against)
    except UserFacingError as error:
        missing = error.code == "audit.none" and against is None
        return Looked(folder, problem="" if missing else told(error))
    fault, path = verdict.fault, verdict.file.path
    is_own = fault is None or fault.params.get("path") == str(path)
    file = AuditFile(path, verdict.file.rows, fault if is_own else None)
    compared = -1 if against is None else verdict.compared
    return Looked(folder, file, history_view(file), compared=compared, other=None if is_own else fault)


def mark(folder: Path, number: int, digest: str, by: str, remark: str, now: datetime) -> Looked:
    """Writes that a person has looked through the record up to this entry; then the record as it is now.

    Raises UserFacingError.
    """
    mark_reviewed(folder, number, digest, by, remark, now)
    return look(folder)


def write(looked: Looked, path: Path, now: datetime) -> str:
    """Writes all entries in the form that the name's ending says; the sentence about it. Raises UserFacingError."""
    assert looked.file is not None
    match path.suffix.lower():
        case ".json":
            return _signed(looked.folder, looked.file, path)
        case ".pdf":
            from .paper import as_pdf  # Qt's; the rest of this file does without

            write_durably(path, as_pdf(looked.file, now))
            return tr("Saved as {path}. Paper proves nothing by itself; for that, export the signed JSON.").format(
                path=path
            )
        case _:
            write_durably(path, as_csv(looked.file))
            return tr("Saved as {path}. A table proves nothing by itself; for that, export the signed JSON.").format(
                path=path
            )


def _signed(folder: Path, file: AuditFile, path: Path) -> str:
    key = load_key(folder, "site")[0] if (folder / NOTE).is_file() else None
    write_durably(path, as_json(file, key))
    if key is None:
        return tr("Saved as {path}, without a signature: this site has no key yet.").format(path=path)
    return tr(
        "Saved as {path}, signed by this site's key {key}. Whoever gets it checks it with: fedmed-desktop "
        "--verify-audit {path}"
    ).format(path=path, key=key.fingerprint[:16])
