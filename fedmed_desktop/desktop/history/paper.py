# SPDX-License-Identifier: Apache-2.0
"""A record as a PDF for people who want paper. Not for the GUI thread.

Drawn line by line: a QTextDocument starts timers, which Qt has none for on such threads, and takes the GUI thread's
turn for a second at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QRect, Qt
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPainter, QPdfWriter

from ...storage.audit_file import AuditFile
from ...wording import told, tr
from ...wording.audit_entries import action_words, meaning_words, stage_words
from .view import Row, who

_MARGIN_MM = 15
_DPI = 300
_POINTS = {"title": 14, "first": 9, "second": 8}
_WRAP = int(Qt.TextFlag.TextWordWrap)


def as_pdf(file: AuditFile, now: datetime) -> bytes:
    """All entries, the oldest first, each in two lines; A4."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(_DPI)
    writer.setTitle(tr("Audit record of {owner}").format(owner=file.owner))
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    writer.setPageMargins(margins, QPageLayout.Unit.Millimeter)
    paper = _Paper(writer)
    for kind, text in _head(file, now):
        paper.write(text, kind)
    for row in file.rows:
        paper.write_together((_first(row), "first"), (_second(row), "second"))
    paper.end()
    del paper, writer  # all of it is there once the writer is gone
    return bytes(buffer.data().data())


class _Paper:
    """Pages that texts are put on from top to bottom; lengths in dots."""

    def __init__(self, writer: QPdfWriter) -> None:
        self._writer = writer
        self._painter = QPainter(writer)
        self._area = QRect(0, 0, writer.width(), writer.height() - _dots(8))
        self._top, self._page = 0, 1
        self._number()

    def write(self, text: str, kind: str) -> None:
        self.write_together((text, kind))

    def write_together(self, *texts: tuple[str, str]) -> None:
        """Puts them below each other, and on the same page."""
        heights = [self._height(text, kind) for text, kind in texts]
        if self._top + sum(heights) > self._area.height():
            self._writer.newPage()
            self._top, self._page = 0, self._page + 1
            self._number()
        for (text, kind), height in zip(texts, heights, strict=True):
            self._painter.setFont(_font(kind))
            self._painter.drawText(QRect(0, self._top, self._area.width(), height), _WRAP, text)
            self._top += height
        self._top += _dots(2)

    def end(self) -> None:
        self._painter.end()

    def _height(self, text: str, kind: str) -> int:
        self._painter.setFont(_font(kind))
        return self._painter.boundingRect(QRect(0, 0, self._area.width(), 10**6), _WRAP, text).height()

    def _number(self) -> None:
        self._painter.setFont(_font("second"))
        foot = QRect(0, self._area.height(), self._area.width(), _dots(8))
        where = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
        self._painter.drawText(foot, int(where), str(self._page))


def _dots(millimetres: float) -> int:
    return round(millimetres / 25.4 * _DPI)


def _font(kind: str) -> QFont:
    font = QFont()
    font.setPointSize(_POINTS[kind])
    font.setBold(kind != "second")
    return font


def _head(file: AuditFile, now: datetime) -> Iterator[tuple[str, str]]:
    yield "title", tr("Audit record of {owner}").format(owner=file.owner)
    yield "second", told(file.fault) if file.fault else tr("The chain of its entries is whole.")
    yield "second", tr("%n entry(s); the last one's hash is {head}.", "", len(file.rows)).format(head=file.head)
    yield (
        "second",
        tr("Written on {time} UTC. Times below are UTC. Paper proves nothing by itself: a signed export does.").format(
            time=f"{now.astimezone(UTC):%Y-%m-%d %H:%M}"
        ),
    )


def _first(row: Row) -> str:
    number = tr("round {number}").format(number=row["round"]) if row["round"] else ""
    words = (action_words(str(row["action_code"])), number, stage_words(str(row["stage"])))
    return f"{row['seq']}   {', '.join(part for part in words if part)}"


def _second(row: Row) -> str:
    """Person and time, and what an electronic signature has to say beside those: its meaning and the reason."""
    said = (
        str(row["time_utc"])[:19].replace("T", " "),
        f"{who(row)} ({row['actor_os_user']})",
        meaning_words(str(row["meaning"])) if row["meaning"] else "",
        str(row["reason"]),
        str(row["object_hash"])[:16],
    )
    return "  ·  ".join(part for part in said if part)
