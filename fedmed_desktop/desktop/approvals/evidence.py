# SPDX-License-Identifier: Apache-2.0
"""Evidence on an update to keep or hand on: all that the page shows and all that was decided, as one text. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from ...federation.work import Entry
from ...wording import tr
from ..work.desk import Desk
from .card_row import Line
from .layers import COLUMNS as LAYER_COLUMNS
from .layers import layers, summed
from .leaving import part_name
from .receipts import COLUMNS as DECISION_COLUMNS
from .receipts import receipts
from .sheet import Sheet, sheet


def file_name(entry: Entry, ending: str) -> str:
    """Name of the evidence's file, such as "round-3-evidence.pdf": no word in it is anyone's."""
    what = "final-scores" if entry.update.report.kind == "evaluate" else f"round-{entry.plan.round}"
    return f"{what}-evidence.{ending}"


def as_html(entry: Entry, desk: Desk, now: datetime) -> str:
    """Title, hashes, each card of the sheet, the decisions so far, every number that leaves, and the layers."""
    shown = sheet(entry, desk)
    decisions = [row.cells for row in receipts(desk) if row.sha256 == entry.sha256]
    parts = [
        _heading(entry, desk, shown, now),
        _section(tr("What identifies it"), _pairs(_identity(entry))),
        _section(tr("Decisions"), _table(DECISION_COLUMNS, decisions) if decisions else _text(tr("None yet."))),
        _section(tr("What leaves"), _lines(shown.leaves) + _text(shown.stays)),
        _section(tr("How well it works"), _text(shown.worth_on) + _lines(shown.worth)),
        _section(tr("How it differs"), _lines(shown.differs) + _text(shown.unmeasured)),
        _section(tr("What it may reveal"), _text(shown.reveals) + _revealed(shown)),
        _section(tr("Look at these twice"), "".join(_text(finding.sentence) for finding in shown.findings)),
        _section(tr("For specialists"), _lines(shown.details)),
        _section(tr("Every number that leaves"), _pairs(shown.numbers)),
        _layers(entry, desk),
    ]
    return f"<body>{''.join(parts)}</body>"


def _heading(entry: Entry, desk: Desk, shown: Sheet, now: datetime) -> str:
    site = desk.session.site if desk.session else ""
    about = [
        desk.spec.name if desk.spec else "",
        shown.environment,
        site,
        tr("to {address}").format(address=shown.destination),
    ]
    saved = tr("Saved {time}. Research software: this makes no medical claim.")
    return (
        f"<h1>{escape(shown.title)}</h1>"
        + _text(shown.verdict.advice)
        + _text(" · ".join(filter(None, about)), dim=True)
        + _text(saved.format(time=now.astimezone().isoformat(timespec="seconds")), dim=True)
    )


def _identity(entry: Entry) -> list[tuple[str, str]]:
    """Whole hashes: a decision's row has the last of them."""
    update = entry.update
    rows = [(tr("sha256 of {part}").format(part=part_name(n)), p.sha256) for n, p in sorted(update.parts.items())]
    rows.append((tr("sha256 of the update"), entry.sha256))
    rows.append((tr("sha256 of everything that is decided on"), update.content_sha256))
    return rows


def _revealed(shown: Sheet) -> str:
    return "".join(
        f"<p><b>{escape(row.name)}</b>: {escape(row.word)}. {escape(row.sentence)} "
        f'<span class="dim">{escape(row.numbers)}</span></p>'
        for row in shown.revealed
    )


def _layers(entry: Entry, desk: Desk) -> str:
    found = layers(entry, desk)
    if not found.rows:
        return ""
    return _section(
        tr("Layer by layer"), _text(found.sentence) + _table(LAYER_COLUMNS, [row.texts for row in summed(found.rows)])
    )


def _section(title: str, content: str) -> str:
    """Left out where there is nothing to say."""
    return f"<h2>{escape(title)}</h2>{content}" if content else ""


def _text(words: str, *, dim: bool = False) -> str:
    kind = ' class="dim"' if dim else ""
    return f"<p{kind}>{escape(words)}</p>" if words else ""


def _lines(lines: Iterable[Line]) -> str:
    return _pairs((line.name, _value(line)) for line in lines)


def _value(line: Line) -> str:
    return f"{line.before} → {line.value} {line.change}" if line.before else line.value


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = [f'<tr><td class="dim">{escape(name)}</td><td>{escape(value)}</td></tr>' for name, value in pairs]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(tr(name))}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>{body}</table>"
