# SPDX-License-Identifier: Apache-2.0
"""Values that the History page shows: a line for each entry, those that are looked for, all of one. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from ...errors import UserFacingError
from ...storage.audit_file import AuditFile
from ...wording import SENTENCES, moment, sentence, together, told, tr, written
from ...wording.audit_entries import (
    Kind,
    action_kind,
    action_words,
    is_trouble,
    meaning_words,
    object_words,
    role_words,
    stage_meant,
    stage_words,
    state_words,
)

Row = Mapping[str, Any]
Shown = Literal["all", "decisions", "rounds", "federation", "program", "trouble", "unreviewed"]
Period = Literal["any", "day", "week", "month", "year"]

SHORT: Final = 12  # letters of a hash that people compare
_DAYS: Final[Mapping[Period, int]] = {"day": 1, "week": 7, "month": 30, "year": 365}
_DRAWINGS: Final[Mapping[Kind, str]] = {
    "decisions": "approvals", "rounds": "rounds", "federation": "people", "program": "settings",
}  # fmt: skip


class Line(NamedTuple):
    """One entry in the table. `found_by`: what a search looks in, in small letters; `time` is aware."""

    number: int
    time: datetime
    texts: tuple[str, ...]
    kind: Kind
    drawing: str
    tone: str
    is_trouble: bool
    is_reviewed: bool
    found_by: str


@dataclass(frozen=True)
class Wanted:
    """Search in the record."""

    shown: Shown = "all"
    period: Period = "any"
    text: str = ""


@dataclass(frozen=True)
class HistoryView:
    """A record as it was read; the newest line comes first. `reviewed`: number of the last entry that somebody saw,
    `broken` of the first that is wrong; 0 for none.
    """

    owner: str = ""
    lines: tuple[Line, ...] = ()
    rows: Mapping[int, Row] = field(default_factory=dict)
    fault: UserFacingError | None = None
    broken: int = 0
    reviewed: int = 0
    reviewed_by: str = ""
    reviewed_at: datetime | None = None

    @property
    def last(self) -> Line | None:
        return self.lines[0] if self.lines else None


def headings() -> tuple[str, ...]:
    return tr("When"), tr("What"), tr("Round"), tr("Who"), tr("Result")


def history_view(file: AuditFile) -> HistoryView:
    """Time grows with the record: 10,000 entries take a fifth of a second, so not in the GUI thread."""
    rows = {int(row["seq"]): row for row in file.rows}
    review = next((row for row in reversed(file.rows) if row["action_code"] == "reviewed"), None)
    seen = _seen_by(review, rows)
    broken = int(file.fault.params.get("entry", 0)) if file.fault else 0
    lines = tuple(_line(row, seen, broken) for row in reversed(file.rows))
    by, at = (str(review["actor_name"]), _local(review)) if review is not None and seen else ("", None)
    return HistoryView(file.owner, lines, rows, file.fault, broken, seen, by, at)


def _seen_by(review: Row | None, rows: Mapping[int, Row]) -> int:
    """The last entry that was reviewed, and still is the one that was seen; the mark itself needs no review."""
    number = str(review["object_id"]) if review is not None else ""
    if review is None or not number.isdecimal() or int(number) not in rows:
        return 0
    if rows[int(number)]["hash"] != review["object_hash"]:
        return 0
    is_next = int(number) + 1 == review["seq"]
    return int(review["seq"]) if is_next else int(number)


def _line(row: Row, seen: int, broken: int) -> Line:
    code, stage, is_wrong = str(row["action_code"]), str(row["stage"]), row["seq"] == broken
    kind, trouble = action_kind(code), is_wrong or is_trouble(code, stage)
    number, time = int(row["seq"]), _local(row)
    when = moment(time, "minute")
    about = str(row["round"]) if row["round"] else ""
    texts = when, action_words(code), about, who(row), tr("Changed") if is_wrong else stage_words(stage)
    hidden = (row[name] for name in ("reason", "object_hash", "object_id", "peer", "actor_os_user", "owner", "hash"))
    found_by = " ".join((str(number), *texts, code, *map(str, hidden))).lower()
    drawing, tone = ("warning", "bad" if is_wrong else "warn") if trouble else (_DRAWINGS[kind], "dim")
    return Line(number, time, texts, kind, drawing, tone, trouble, number <= seen, found_by)


def _local(row: Row) -> datetime:
    """The time on this computer's clock; of an entry that was changed by hand, the beginning of time."""
    try:
        return datetime.fromisoformat(str(row["time_utc"])).astimezone()
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0).astimezone()


def who(row: Row) -> str:
    """Name of the person, or of the program that acted."""
    name = str(row["actor_name"])
    return role_words(str(row["role"])) if name in ("", "agent", "coordinator") else name


def matching(view: HistoryView, wanted: Wanted, now: datetime) -> tuple[Line, ...]:
    """The lines that are looked for; every word of the search must be in a line. A few ms for 10,000 of them."""
    words = wanted.text.lower().split()
    days = _DAYS.get(wanted.period)
    since = now - timedelta(days=days) if days else None
    return tuple(
        line
        for line in view.lines
        if _is_shown(line, wanted.shown)
        and (since is None or line.time >= since)
        and all(word in line.found_by for word in words)
    )


def _is_shown(line: Line, shown: Shown) -> bool:
    match shown:
        case "all":
            return True
        case "trouble":
            return line.is_trouble
        case "unreviewed":
            return not line.is_reviewed
        case _:
            return line.kind == shown


# -- what stands above and beside the table ----------------------------------------------------------------------------


def verdict(view: HistoryView) -> tuple[str, str]:
    """Tells whether the chain is whole, in plain words, and the tone of it."""
    if view.fault is not None and "entry" in view.fault.params:
        entry = view.fault.params["entry"]
        return tr("The record is broken: entry {number} cannot be trusted.").format(number=written(int(entry))), "bad"
    if view.fault is not None:
        return tr("The record is broken."), "bad"
    return tr("The record is whole: %n entry(s), none changed, lost or inserted.", "", len(view.lines)), "ok"


def explained(view: HistoryView) -> str:
    """Sentence on what follows from a broken chain; of a whole one, on what a chain alone cannot show."""
    if view.fault is not None:
        return told(view.fault)
    return tr("Compare it with the coordinator's record now and then: only that shows whether its end was cut off.")


def review_words(view: HistoryView) -> str:
    """Sentence on how far the record has been reviewed."""
    left = sum(not line.is_reviewed for line in view.lines)
    if not view.reviewed or view.reviewed_at is None:
        return tr("Nobody has marked this record as reviewed yet.")
    said = tr("Reviewed up to entry {number} by {name}, {day}.").format(
        number=written(view.reviewed), name=view.reviewed_by, day=moment(view.reviewed_at, "day")
    )
    return together(said, tr("%n entry(s) since then.", "", left) if left else "")


def title(row: Row) -> str:
    return action_words(str(row["action_code"]))


def what_it_means(view: HistoryView, row: Row) -> str:
    if row["seq"] == view.broken:
        return tr("This entry is not as it was written, or the one before it is missing. What it says may be false.")
    return stage_meant(str(row["stage"]))


def facts(row: Row, before: Row | None) -> tuple[tuple[str, str], ...]:
    """Everything that an entry holds, in plain words; what is empty is left out."""
    time = _local(row)
    change = " → ".join(_in_words(state_words(str(row[name]))) for name in ("before", "after") if row[name])
    listed: Sequence[tuple[str, object]] = (
        (tr("Entry"), written(row["seq"])),
        (tr("When"), f"{moment(time, 'stamp')} ({row['tz']})"),
        (tr("Who"), who(row)),
        (tr("Acting as"), role_words(str(row["role"])) if role_words(str(row["role"])) != who(row) else ""),
        (tr("Account of the computer"), row["actor_os_user"]),
        (tr("Result"), stage_words(str(row["stage"]))),
        (tr("Meaning of the signature"), meaning_words(str(row["meaning"]))),
        (tr("Reason"), _in_words(str(row["reason"]))),
        (tr("Round"), row["round"] or ""),
        (tr("About"), _about(row)),
        (tr("State"), change),
        (tr("Other side"), role_words(str(row["peer"]))),
        (tr("Decided on (sha256)"), _short(row["evidence"])),
        (tr("Site"), row["owner"]),
        (tr("Key of the site"), _short(row["host_id"])),
        (tr("Program"), row["app_version"]),
        (
            tr("Bound to the entry before"),
            _short(before["hash"]) if before is not None else tr("none: it is the first"),
        ),
        (tr("Its own hash"), _short(row["hash"])),
    )
    return tuple((name, str(value)) for name, value in listed if value != "")


def _about(row: Row) -> str:
    kind = object_words(str(row["object_type"])) if row["object_type"] else ""
    parts: Iterable[str] = (kind, str(row["object_id"]), _short(row["object_hash"]))
    return " ".join(part for part in parts if part)


def _in_words(text: str) -> str:
    """The sentence of a code, such as why something was refused; a person's own words stay."""
    return sentence(text, {}) if text in SENTENCES else text


def _short(digest: object) -> str:
    return str(digest)[:SHORT]
