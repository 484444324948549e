# SPDX-License-Identifier: Apache-2.0
"""History: the record of what this site did and decided; looked through, verified, marked as reviewed, exported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QDir, QModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...storage.outbox import Record
from ...wording import moment, told, tr, written
from ..widgets import (
    Banner,
    Button,
    Caption,
    Card,
    EmptyState,
    Flow,
    Heading,
    LinkButton,
    PageBase,
    Row,
    Sentence,
    Table,
)
from ..widgets.layout import WIDE_SHARE
from ..widgets.verdict import VerdictLine
from ..work.desk import Desk, utc_now
from ..work.tasks import Task, run_task
from . import files
from .details import EntryCard
from .files import Ending, Looked
from .marking import MarkDialog
from .model import EntriesModel
from .search import SearchRow
from .view import HistoryView, explained, matching, review_words, verdict

MOST_ROWS: Final = 14


class HistoryPage(PageBase):
    """Reads the record beside the GUI thread: when it is shown, when the site's own record has changed, when asked.

    `folder_of` gives the data folder of the site; None while there is none. `name_of`: who sits here, as far as known.
    """

    join_requested = Signal()

    def __init__(self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None) -> None:
        super().__init__(parent, WIDE_SHARE)
        self._clock = clock
        self._looked: Looked | None = None
        self._folder: Path | None = None  # read last
        self._record: Record | None = None
        self._task: Task | None = None
        self._is_asked = self._is_wanted = False
        self.folder_of: Callable[[], Path | None] = lambda: None
        self.name_of: Callable[[], str] = lambda: ""
        self.dialog: MarkDialog | None = None
        self._to_mark: tuple[Path, int, str] | None = None  # folder, number and hash of the entry that it asks about
        self.verdict, self.explained, self.reviewed = VerdictLine(), Sentence(), Sentence()
        self.banner = Banner()
        self.search, self.card = SearchRow(), EntryCard()
        self.table = Table(self.tr("Entries of the record, the newest first"), MOST_ROWS)
        self.table.horizontalHeader().setResizeContentsPrecision(MOST_ROWS)  # beyond what is seen; Qt takes a thousand
        self.model = EntriesModel(self.table)
        self.count, self.everything = Caption(wrap=True), LinkButton(self.tr("Show everything"))
        self.empty = EmptyState(
            "history",
            self.tr("Nothing has been recorded yet"),
            self.tr(
                "Once this site takes part in a federation, everything that the program does and you decide is "
                "written down here, and stays on this computer."
            ),
            self.tr("Join a federation"),
        )
        self._make_buttons()
        self._arrange()
        self._connect()
        self._show_parts(None)

    def _make_buttons(self) -> None:
        self.verify = Button(self.tr("Verify"), "check")
        self.compare = Button(self.tr("Compare…"))
        self.compare.setToolTip(self.tr("With the coordinator's record, or an export of it"))
        self.mark = Button(self.tr("Mark as reviewed…"))
        self.export = Button(self.tr("Export"))
        self.export.setAccessibleName(self.tr("Export the record"))
        menu = QMenu(self.export)
        words: dict[Ending, str] = {
            "json": self.tr("Signed, for others to check (JSON)…"),
            "pdf": self.tr("To read on paper (PDF)…"),
            "csv": self.tr("As a table (CSV)…"),
        }
        for ending, word in words.items():
            menu.addAction(word).setData(ending)
        self.export.setMenu(menu)
        self.buttons = Flow(self.verify, self.compare, self.mark, self.export)

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(Heading(self.tr("History")))
        head.addWidget(Sentence(self.tr("What this site did and decided, and when. Entries are added, never changed.")))
        self.column.content.addLayout(head)
        self.table.setModel(self.model)
        state = self.state = Card()
        state.content.setSpacing(8)
        line = Row()
        line.add(self.verdict, 1, 380)
        line.add(self.buttons, 0, 440)
        line.content.setAlignment(self.verdict, Qt.AlignmentFlag.AlignVCenter)
        state.add(line)
        state.add(self.explained)
        state.add(self.reviewed)
        entries = Card(least=360)
        entries.add(self.search)
        entries.add(self.table)
        entries.add(Flow(self.count, self.everything))
        entries.content.addStretch(1)
        self.sides = Row()
        self.sides.add(entries, 2, 480)
        self.sides.add(self.card, 1)
        whole: tuple[QWidget, ...] = (self.banner, state, self.sides, self.empty)
        for part in whole:
            self.add(part)
        self.finish()

    def _connect(self) -> None:
        self.search.changed.connect(self._searched)
        self.table.selectionModel().currentRowChanged.connect(self._chosen)
        self.verify.clicked.connect(self.check)
        self.compare.clicked.connect(self.ask_other)
        self.mark.clicked.connect(self.ask_mark)
        self.export.menu().triggered.connect(self._ask_name)
        self.everything.clicked.connect(self.search.clear)
        self.banner.acted.connect(self._close_banner)
        self.empty.chosen.connect(self.join_requested)

    # -- reading -------------------------------------------------------------------------------------------------------

    def show_desk(self, desk: Desk) -> None:
        """Ten times a second; only another record or another site's folder does anything."""
        if self._is_wanted:  # what a person has asked for comes to its end first
            return
        if self.isVisible() and (desk.record is not self._record or self.folder_of() != self._folder):
            self._record = desk.record
            self.read()

    def showEvent(self, event: QShowEvent) -> None:
        """Forgets the record, so that it is read again with the next desk: other programs may have written to it."""
        super().showEvent(event)
        self._record = None

    def read(self) -> None:
        """Reads the record; what is shown stays until that is done."""
        folder = self._folder = self.folder_of()
        if folder is None:
            self.show_looked(None)
            return
        if self._looked is None or self._looked.folder != folder:
            self._looked = None
            self.card.show_entry(self.view, 0)  # what was chosen is of another record
            self._show_busy(self.tr("Reading the record…"))
        self._run(partial(files.look, folder))

    @Slot()
    def check(self) -> None:
        """Reads and checks it because a person asked: what comes of it is said, also where nothing has changed."""
        folder = self.folder_of()
        if folder is not None:
            self._begin_asked(partial(files.look, folder))

    @Slot(str)
    def compare_with(self, path: str) -> None:
        folder = self.folder_of()
        if folder is not None:
            self._begin_asked(partial(files.look, folder, Path(path)))

    def _begin_asked(self, work: Callable[[], Looked]) -> None:
        self._is_asked = True
        self._show_busy(self.tr("Checking every entry…"))
        self._run(work, is_wanted=True)

    def _run(self, work: Callable[[], Looked], *, is_wanted: bool = False) -> None:
        self._is_wanted = is_wanted
        self._task = run_task(self, work, self._seen, self._failed, self._task)

    def _show_busy(self, words: str) -> None:
        self.verdict.show_verdict(words)
        self.empty.hide()
        self.state.show()
        self.verify.setEnabled(False)

    @Slot(object)
    def _seen(self, looked: Looked) -> None:
        self._task, self._is_wanted = None, False
        is_asked, self._is_asked = self._is_asked, False
        if is_asked and looked.file is None and self._looked is not None:  # the other side's file could not be read
            self.banner.show_message(looked.problem, "bad", self.tr("Close"))
            looked = self._looked
        elif is_asked:
            self._tell_checked(looked)
        self.show_looked(looked)

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        self._task, self._is_wanted = None, False
        self.show_looked(self._looked)
        if not isinstance(error, UserFacingError):
            raise error
        self.banner.show_message(told(error), "bad", self.tr("Close"))

    def _tell_checked(self, looked: Looked) -> None:
        words, tone = verdict(looked.view) if looked.other is None else (told(looked.other), "bad")
        time = moment(self._clock(), "clock")
        if tone == "ok" and looked.compared > 0:
            words = tr("The two records match: all %n hash(es) that one side holds of the other were found.", "",
                       looked.compared)  # fmt: skip
        elif tone == "ok" and looked.compared == 0:
            words, tone = self.tr("Nothing could be compared: neither record holds a hash of the other."), "warn"
        self.banner.show_message(self.tr("Checked at {time}. {verdict}").format(time=time, verdict=words), tone,
                                 self.tr("Close"))  # fmt: skip

    # -- showing -------------------------------------------------------------------------------------------------------

    def show_looked(self, looked: Looked | None) -> None:
        """Shows what was read; None: there is no site."""
        self._looked = looked
        self._show_parts(looked)
        if looked is None or looked.file is None:
            return
        self.verdict.show_verdict(*verdict(looked.view))
        self.explained.setText(explained(looked.view))
        self.reviewed.setText(review_words(looked.view))
        self.mark.setEnabled(bool(looked.view.lines) and looked.view.fault is None)
        self._show_lines(self.table.choose_again)

    def _show_parts(self, looked: Looked | None) -> None:
        has_file = looked is not None and looked.file is not None
        is_problem = looked is not None and bool(looked.problem)
        self.empty.setVisible(not has_file and not is_problem)
        self.state.setVisible(has_file or is_problem)
        for part in (self.sides, self.compare, self.mark, self.export, self.reviewed, self.explained):
            part.setVisible(has_file)
        self.verify.setEnabled(True)
        if looked is not None and is_problem:
            self.verdict.show_verdict(looked.problem, "bad")

    @property
    def view(self) -> HistoryView:
        return self._looked.view if self._looked else HistoryView()

    @Slot()
    def _searched(self) -> None:
        self._show_lines(self.table.selectRow)

    def _show_lines(self, choose: Callable[[int], None]) -> None:
        """The lines that are looked for; the entry that was chosen stays chosen if it is among them."""
        lines = matching(self.view, self.search.wanted(), self._clock())
        kept = self.card.number or self.view.broken
        self.model.show_lines(lines)
        there, shown = len(self.view.lines), len(lines)
        if shown == there:
            self.count.setText(tr("%n entry(s)", "", there))
        else:
            words = (
                tr("%n of {all} entries match(es).", "", shown) if shown else self.tr("None of {all} entries match.")
            )
            self.count.setText(words.format(all=written(there)))
        self.everything.setVisible(shown < there)
        self.table.setVisible(bool(lines))
        row = max(self.model.row_of(kept), 0)
        if lines:
            choose(row)
        self.card.show_entry(self.view, self.model.number_at(row))

    @Slot(QModelIndex, QModelIndex)
    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid():
            self.card.show_entry(self.view, self.model.number_at(now.row()))

    @Slot()
    def _close_banner(self) -> None:
        self.banner.show_message("")

    # -- marking and exporting -----------------------------------------------------------------------------------------

    @Slot()
    def ask_mark(self) -> None:
        last, looked = self.view.last, self._looked
        if last is not None and looked is not None:
            self._to_mark = (looked.folder, last.number, str(looked.view.rows[last.number]["hash"]))
            self.dialog = MarkDialog(self, last.number, self.name_of())
            self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.dialog.marked.connect(self._mark)
            self.dialog.open()

    @Slot(str, str)
    def _mark(self, name: str, remark: str) -> None:
        """Marks the record as reviewed up to the entry that the question named, not to what came since."""
        if self._to_mark is not None:
            self._run(partial(files.mark, *self._to_mark, name, remark, self._clock()), is_wanted=True)

    @Slot()
    def ask_other(self) -> None:
        dialog = QFileDialog(self, self.tr("The coordinator's audit.sqlite, or an export of it"), QDir.homePath())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilter(self.tr("Records (*.sqlite *.json)"))
        dialog.fileSelected.connect(self.compare_with)
        dialog.open()

    @Slot(object)
    def _ask_name(self, action: object) -> None:
        ending = str(action.data())  # type: ignore[attr-defined]
        dialog = QFileDialog(self, self.tr("Export the record"), QDir.homePath())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(f"*.{ending}")
        dialog.setDefaultSuffix(ending)
        dialog.selectFile(f"history.{ending}")
        dialog.fileSelected.connect(self.write)
        dialog.open()

    @Slot(str)
    def write(self, name: str) -> None:
        """Writes all of the record, also what the search hides, in the form that the name's ending says."""
        if self._looked is not None and self._looked.file is not None:
            self.banner.show_message(self.tr("Writing…"))
            work = partial(files.write, self._looked, Path(name), self._clock())
            run_task(self, work, self._written, self._failed)

    @Slot(object)
    def _written(self, words: str) -> None:
        self.banner.show_message(words, "ok", self.tr("Close"))
