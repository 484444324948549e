# SPDX-License-Identifier: Apache-2.0
"""Hosting: the form that founds a federation and, once there is one, its coordinator here and its sites."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...protocol.invitation import Invitation
from ...wording import told
from ..widgets import Banner, Button, Caption, Heading, LinkButton, PageBase, PrimaryButton, Row, Sentence, Spaced
from ..widgets.layout import WIDE_SHARE, add_column
from ..work.desk import Desk, utc_now
from ..work.hosted import Hosted, Inside
from ..work.tasks import Task, run_task
from . import files, process
from .form_panel import FormPanel
from .oversight import Oversight
from .served import State
from .served_panel import FactsCard, ServedPanel
from .story import FilesCard, HostStoryCard

LOOK_MS: Final = 1_000


class HostingPage(PageBase):
    """`changed` carries what is hosted now (a Hosted) whenever that is another, or another process; `left`: back.

    `root`: where the folders of federations are kept. `look_inside` is called beside the GUI thread, and may load
    torch. Nothing is looked at before `show_hosted`.
    """

    changed = Signal(object)
    left = Signal()
    ended = Signal()  # the coordinator, as it was told to
    guide_requested = Signal(str)
    stop_asked = Signal()
    forget_asked = Signal()

    def __init__(
        self,
        root: Path,
        look_inside: Callable[[Path], Inside],
        clock: Callable[[], datetime] = utc_now,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, WIDE_SHARE)
        self._look_inside = look_inside
        self.hosted: Hosted | None = None
        self.state: State = "stopped"
        self._before: Hosted | None = None  # while another one is being founded
        self.is_elsewhere = False  # what is shown is a federation that another computer serves
        self._task: Task | None = None
        self._look_task: Task | None = None
        self._own_task: Task | None = None
        self.title, self.sentence = Heading(), Sentence()
        self.banner = Banner()
        self.form = FormPanel(root)
        self.found, self.back = PrimaryButton(self.tr("Found the federation")), Button(self.tr("Back"))
        self.guide = LinkButton(self.tr("About hosting"), "help")
        self._missing = Caption(wrap=True)
        self.served, self.facts = ServedPanel(), FactsCard()
        self.oversight = Oversight(clock)
        self.no_longer = LinkButton(self.tr("No longer look after it…"))
        self.no_longer.clicked.connect(self.forget_asked)
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._arrange()
        self._connect()
        self._show()

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title)
        head.addWidget(self.sentence)
        self.column.content.addLayout(head)
        self.add(self.banner)
        self.founding = Spaced()
        column = QVBoxLayout(self.founding)
        self.founding._lay(column, (0, 0, 0, 0), 16)
        sides = Row()
        add_column(sides, (self.form,))
        add_column(sides, (HostStoryCard(), FilesCard()))
        buttons = QHBoxLayout()
        buttons.addWidget(self.found)
        buttons.addWidget(self.back)
        buttons.addWidget(self._missing, 1)
        column.addWidget(sides)
        column.addLayout(buttons)
        column.addWidget(self.guide, 0, Qt.AlignmentFlag.AlignLeft)
        self.add(self.founding)
        self.serving = Row(self.served, self.facts)
        self.add(self.oversight)
        self.column.content.addWidget(self.no_longer, 0, Qt.AlignmentFlag.AlignLeft)
        self.add(self.serving)
        self.finish()

    def _connect(self) -> None:
        self.form.changed.connect(self._weigh)
        self.form.guide_requested.connect(self.guide_requested)
        self.found.clicked.connect(self._found)
        self.back.clicked.connect(self._back)
        self.guide.clicked.connect(self._explain)
        self.served.stop_requested.connect(self.stop_asked)
        self.served.start_requested.connect(self.start)
        self.served.found_requested.connect(self.begin)
        self._clock.timeout.connect(self._look)
        self.oversight.changed.connect(self._show)
        self.oversight.line.waits.connect(self._admit_self)

    # -- from outside --------------------------------------------------------------------------------------------------

    @Slot()
    def begin(self) -> None:
        """The form, with the keyboard in its first field; what is hosted stays as it is while that runs."""
        if self.state in ("starting", "serving", "stopping"):
            return
        self._before, self.hosted = self.hosted, None
        self._clock.stop()
        self.banner.show_message("")
        self.form.begin()
        self._show()
        self.form.fields["name"].line.setFocus()

    def show_hosted(self, hosted: Hosted) -> None:
        """A federation of an earlier start, whose coordinator may still run."""
        self.is_elsewhere = False
        self.show_state(hosted, "stopped")
        self._look()
        self._clock.start()

    def show_state(self, hosted: Hosted, state: State, fault: str = "") -> None:
        """Shows the federation as it is found to be."""
        self.hosted, self.state = hosted, state
        self.served.show_state(hosted, state, fault)
        self.facts.show_hosted(hosted)
        self._show()

    def show_desk(self, desk: Desk) -> None:
        """Nothing here is told by the desk: hosting is another thing than taking part."""

    def oversee(self, folder: Path, invitation: Invitation | None, proxy: str = "system") -> None:
        """A federation whose coordinator runs elsewhere. Raises UserFacingError: nobody is a host by these."""
        self.oversight.begin(folder, invitation, proxy=proxy)
        self.is_elsewhere = True
        self._clock.stop()
        self._show()

    def forget(self) -> None:
        """Shows no longer what another computer serves."""
        self.oversight.end()
        self.is_elsewhere = False
        self._show()

    def end(self) -> None:
        """Disconnects; a coordinator that runs here goes on."""
        self._clock.stop()
        self.oversight.end()

    @property
    def is_running(self) -> bool:
        """Tells whether a coordinator runs that this window would leave behind."""
        return self.hosted is not None and process.is_running(self.hosted)

    # -- founding ------------------------------------------------------------------------------------------------------

    @Slot()
    def _weigh(self) -> None:
        is_free = self._task is None
        self.found.setEnabled(self.form.is_right and is_free)
        self._missing.setText(self.form.what_is_missing() if is_free else self.tr("Reading the model, and writing…"))
        self.form.setEnabled(is_free)

    @Slot()
    def _found(self) -> None:
        if self.form.is_right and self._task is None:
            self.banner.show_message("")
            self._run(partial(files.found, self.form.form(), self._look_inside), self._founded)
            self._weigh()

    @Slot(object)
    def _founded(self, hosted: Hosted) -> None:
        self._task = None
        self.form.forget()
        self.hosted = hosted
        self.changed.emit(hosted)
        self.start()

    @Slot()
    def _back(self) -> None:
        """Goes back to what was hosted before, if anything was."""
        self.form.drop()
        if self._before is not None:
            self.show_hosted(self._before)
        else:
            self.left.emit()

    @Slot()
    def _explain(self) -> None:
        self.guide_requested.emit("host-here")

    # -- the coordinator -----------------------------------------------------------------------------------------------

    @Slot()
    def start(self) -> None:
        """Starts the coordinator of what is hosted."""
        if self.hosted is not None and self._task is None:
            self.show_state(self.hosted, "starting")
            self._run(partial(process.begin, self.hosted), self._started)

    @Slot(object)
    def _started(self, hosted: Hosted) -> None:
        self._task = None
        self.show_state(hosted, "starting")
        self.changed.emit(hosted)
        self._clock.start()

    @Slot()
    def stop(self) -> None:
        """Ends it in good order; nothing is asked any more."""
        if self.hosted is not None and self._task is None:
            self.show_state(self.hosted, "stopping")
            self._run(partial(process.end, self.hosted), self._ended)

    @Slot(object)
    def _ended(self, _nothing: object) -> None:
        self._task = None
        self.oversight.end()
        if self.hosted is not None:
            self.show_state(self.hosted, "stopped")
        self.ended.emit()

    @Slot()
    def _look(self) -> None:
        if self.hosted is not None and self._task is None and self._look_task is None:
            serves = self.state == "serving"
            self._look_task = run_task(self, partial(process.look, self.hosted, serves), self._looked, self._fault)

    @Slot(object)
    def _looked(self, found: process.Look) -> None:
        self._look_task = None
        if self.hosted is None or self._task is not None:
            return
        has_failed = found.state == "stopped" and found.fault is not None
        was_on = self.state in ("starting", "serving", "failed")
        state: State = "failed" if was_on and has_failed else found.state
        self.show_state(self.hosted, state, told(found.fault) if found.fault else "")
        if state == "serving":
            self._host()

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._task = run_task(self, work, done, self._failed)

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        """Tells what went wrong where it was asked for; raises a fault of the program."""
        self._task = None
        if not isinstance(error, UserFacingError | OSError):
            self._show()
            raise error
        if self.founding.isVisible():
            self.banner.show_message(told(error), "bad")
        elif self.hosted is not None:
            self.show_state(self.hosted, "failed", told(error))
        self._weigh()

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        self._look_task = None
        raise error

    # -- its host ------------------------------------------------------------------------------------------------------

    def _host(self) -> None:
        """Connects as the host of what is served here, once that serves; who founds a federation is its host."""
        if self.hosted is None or self.oversight.line.is_open or self._own_task is not None:
            return
        self._own_task = run_task(self, partial(files.own_invitation, self.hosted), self._invited, self._not_invited)

    @Slot(object)
    def _invited(self, invitation: Invitation | None) -> None:
        self._own_task = None
        if self.hosted is not None and not self.is_elsewhere:
            self.oversight.begin(self.hosted.host_dir, invitation, self.hosted.own_url)
            self._show()

    @Slot(object)
    def _not_invited(self, error: BaseException) -> None:
        self._own_task = None
        if not isinstance(error, UserFacingError | OSError):
            raise error
        self.banner.show_message(told(error), "bad")

    @Slot(str)
    def _admit_self(self, _words: str) -> None:
        """Nobody is in between here, so that there is nothing to compare: both sides are this computer."""
        if self.hosted is not None and not self.is_elsewhere:
            admit = partial(files.admit_host, self.hosted, self.oversight.line.name)
            self._own_task = run_task(self, admit, self._admitted, self._not_invited)

    @Slot(object)
    def _admitted(self, _nothing: object) -> None:
        self._own_task = None

    # -- showing -------------------------------------------------------------------------------------------------------

    @Slot()
    def _show(self) -> None:
        is_founding = self.hosted is None and not self.is_elsewhere
        self.founding.setVisible(is_founding)
        self.serving.setVisible(self.hosted is not None and not self.is_elsewhere)
        self.no_longer.setVisible(self.is_elsewhere)
        self.oversight.setVisible(self.oversight.line.is_open and (self.is_elsewhere or self.state == "serving"))
        if self.is_elsewhere:
            self.title.setText(self.oversight.line.federation or self.tr("A federation"))
            self.sentence.setText(self.tr("You are a host of this federation; another computer serves it."))
            return
        if self.hosted is None:
            self.title.setText(self.tr("Host a federation"))
            self.sentence.setText(
                self.tr(
                    "Decide what hospitals learn together. This computer then runs the rounds and combines the updates."
                )
            )
            self._weigh()
            return
        self.title.setText(self.hosted.name)
        test, counts = self.tr("You host this federation, as a test."), self.tr("You host this federation.")
        self.sentence.setText(counts if self.hosted.environment == "production" else test)
