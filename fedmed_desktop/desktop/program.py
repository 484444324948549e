# SPDX-License-Identifier: Apache-2.0
"""The running desktop: what a person clicks becomes a command, what happens becomes what the window shows."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

from .. import events
from ..demo.settings import DemoOptions
from ..errors import UserFacingError
from ..wording import sentence
from .frame.greeting import Greeting
from .frame.leaving import Leaving
from .frame.memory import Memory
from .frame.place import Place
from .frame.presence import Presence
from .frame.reading import Reading
from .frame.second_start import Call
from .frame.telling import Teller
from .frame.window import Window
from .look.language import Language, language_for
from .look.theme import Appearance
from .rounds.demonstration import DemonstrationDialog
from .widgets.question import Question
from .work.desk import Desk
from .work.engine import Engine
from .work.log import catch_faults, log, log_event
from .work.news import FOLDED, Item, Problem, SessionEnded, SessionStarted
from .work.requests import JoinRequest
from .work.sessions import Backend
from .work.settings import SettingsFile
from .work.tasks import end as end_tasks

if TYPE_CHECKING:
    from .approvals.page import ApprovalsPage
    from .join.page import JoinPage

AFTER_PAINT_MS = 100


class Program(QObject):
    """Everything of one desktop, in the GUI thread. `begin` once the event loop runs; the application quits after
    `close`, when all threads have ended. `taken`: the desk has changed, or a tenth of a second has passed.
    """

    taken = Signal()

    def __init__(
        self,
        app: QApplication,
        backend: Backend,
        folder: Path,
        *,
        keep_settings: bool = True,
        watch: Callable[[events.Event], None] = lambda event: None,
    ) -> None:
        super().__init__()
        self._app = app
        self._watch = watch
        self._closing = False
        self._painted = QTimer(self, singleShot=True, interval=AFTER_PAINT_MS)
        self._painted.timeout.connect(self._prepare)
        self.demonstration: DemonstrationDialog | None = None
        self._wanted: JoinRequest | None = None
        self.demo_options = DemoOptions(report=folder / "demo-report")
        self._place = Place(folder)
        self._keep_settings = keep_settings and self._place.is_ours
        self.settings = SettingsFile(folder)
        said = [self._place.trouble, self.settings.load() if keep_settings else None]
        self.log_path = self._place.log_path
        values = self.settings.values
        self.language = Language(app, language_for(values.language))  # before the first text is made
        self.appearance = Appearance(app, values.appearance, values.text_scale)
        self.desk = Desk()
        self.engine = Engine(backend, self._take, self)
        self.window = Window(folder)
        self.window.pages.record_folder = self._record_folder
        self.memory = Memory(
            self.settings, self._keep_settings, self.window, self.appearance, self._trouble, self.log_path, self
        )
        self.teller = Teller(self.window, self.log_path)
        own = folder if self._keep_settings else None
        self.presence = Presence(self.window, own, self.settings, self.engine.buffer)
        self.leaving = Leaving(self.window, self.desk, self.memory, self.presence)
        self.reading = Reading(self.window, self.engine, self.desk, self._trouble)
        self._greeting = Greeting(self.window, self.memory)
        self._greeting.demo_requested.connect(self.ask_demo)
        self._undo_hooks = catch_faults(self._fault)
        self._wire()
        self.memory.restore()
        for trouble in filter(None, said):
            self._trouble(trouble)

    def _wire(self) -> None:
        window, engine = self.window, self.engine
        tray, leaving = self.presence.tray, self.leaving
        tray.pause_requested.connect(engine.pause)
        tray.resume_requested.connect(engine.resume)
        leaving.quit_decided.connect(window.hosts.close)
        window.hosts.may_close.connect(self.close)
        leaving.leave_decided.connect(self._leave)
        self.presence.called.connect(self._called)
        window.strip.pause_requested.connect(engine.pause)
        window.strip.resume_requested.connect(engine.resume)
        window.menu.text_scaled.connect(self.appearance.step_text_scale)
        window.log_requested.connect(self.teller.open_log)
        window.rounds.action_requested.connect(self._act)
        window.rounds.join_requested.connect(window.show_join)
        window.rounds.demo_requested.connect(self.ask_demo)
        window.rounds.host_requested.connect(window.hosts.begin)
        window.rounds.try_requested.connect(window.show_trial)
        window.rounds.session.agreement.declined.connect(self._leave)
        window.pages.join.then(self._connect_join)
        window.pages.approvals.then(self._connect_approvals)
        engine.closed.connect(self._closed)
        self.appearance.changed.connect(window.show_now)

    def _connect_join(self, page: JoinPage) -> None:
        page.join_requested.connect(self.ask_join)
        page.cancelled.connect(self.window.show_rounds)
        page.host_requested.connect(self.window.hosts.begin)
        page.host_invited.connect(self.window.hosts.invited)

    def _connect_approvals(self, page: ApprovalsPage) -> None:
        page.send_requested.connect(self.engine.send)
        page.second_requested.connect(self.engine.second)
        page.keep_requested.connect(self.engine.keep)
        page.take_back_requested.connect(self.engine.take_back)
        page.try_requested.connect(self.window.show_trial_of)

    @property
    def question(self) -> Question | None:
        """Question that the person is asked now."""
        return self.leaving.question

    def show(self) -> None:
        self.window.show_desk(self.desk, datetime.now(UTC))
        self.window.show()

    @Slot()
    def begin(self) -> None:
        """Starts the threads."""
        self.engine.start()
        self.presence.begin()
        if not self._closing:
            self._painted.start()
        log.info("the desktop has started")

    @Slot()
    def _prepare(self) -> None:
        self.memory.make_monitor()

    def set_wishes(self, join: str | None, model: str | None, adapter: Path | None) -> None:
        """Does what the command line asked for, or resumes what was going on when the program was last closed."""
        joined = self.settings.values.joined
        if self._does(join, model, adapter):
            return
        if joined and self.settings.values.rejoin and self._keep_settings:
            self._begin_session(joined)
        elif joined is None and not self.settings.values.welcomed and self._keep_settings:
            self._greeting.begin()

    def _does(self, join: str | None, model: str | None, adapter: Path | None) -> bool:
        """Does what was asked for; returns whether that was anything."""
        if model is not None:
            self.window.trial.offer_model(Path(model), adapter)
            self.window.show_trial()
        elif join is not None:
            self.window.join.prefill(join)
            self.window.show_join()
        return model is not None or join is not None

    @Slot(object)
    def _called(self, call: Call) -> None:
        """Does what a second start on this folder asked for."""
        if not self._closing:
            self._does(call.join, call.model, call.adapter)

    # -- what a person asks for --------------------------------------------------------------------------------------

    @Slot(object)
    def ask_join(self, request: JoinRequest) -> None:
        self.leaving.ask_begin(partial(self.join, request))

    def join(self, request: JoinRequest) -> None:
        """Takes part; where a session is still ending, as soon as that has ended."""
        self.memory.joins(request)
        self._wanted = request
        self._join_wanted()
        self.window.show_rounds()

    def _join_wanted(self) -> None:
        if self._wanted and not self.engine.occupied:
            request, self._wanted = self._wanted, None
            self._begin_session(request)

    def _begin_session(self, request: JoinRequest) -> None:
        values = self.settings.values
        self.engine.join(request.model_copy(update={"proxy": values.proxy, "cores": values.cores}))

    @Slot()
    def ask_demo(self) -> None:
        """Asks by which method; a modal window would keep the guide from being read beside it."""
        if self.demonstration is None:
            self.demonstration = DemonstrationDialog(self.window, self.demo_options.method)
            self.demonstration.started.connect(self._start_demo_by)
            self.demonstration.guide_requested.connect(self.window.show_guide_at)
        self.demonstration.show()
        self.demonstration.activateWindow()

    @Slot(str, bool, bool)
    def _start_demo_by(self, method: str, overfitted: bool, longer: bool) -> None:
        self.demo_options = replace(self.demo_options, method=method, overfitted=overfitted, longer=longer)
        self.leaving.ask_begin(self.start_demo)

    @Slot()
    def start_demo(self) -> None:
        self.engine.start_demo(self.demo_options)
        self.window.show_rounds()

    @Slot(str)
    def _act(self, action: str) -> None:
        """The one next step that the Rounds page offers."""
        match action:
            case "join":
                self.window.show_join()
            case "review":
                self.window.go("approvals")
            case "take_back" if entry := self.desk.counting_down:
                self.engine.take_back(entry.sha256, self.memory.approver())
            case "agree":
                self.engine.agree()
            case "resume":
                self.engine.resume()
            case "results":
                self.window.show_trial()
            case "retry":
                self._retry()
            case "change":
                self._leave()
                self._show_join()

    def _retry(self) -> None:
        """Goes on where that may help by itself, else offers the form again with the reason above it."""
        joined, ended, fatal = self.settings.values.joined, self.desk.ended, self.desk.fatal
        of_the_disk = fatal is not None and fatal.code.startswith("storage.disk")
        if self.desk.is_demo:
            self.start_demo()
        elif joined and ended and (ended.reason == "stopped" or of_the_disk):
            self._begin_session(joined)
        else:
            self._show_join()

    def _show_join(self) -> None:
        if joined := self.settings.values.joined:
            self.window.join.prefill_request(joined, self.desk.fatal.sentence if self.desk.fatal else "")
        self.window.show_join()

    @Slot()
    def _leave(self) -> None:
        self.leaving.left_session = self.desk.session
        if not self.desk.is_demo:
            self.memory.leaves()
        self.engine.end_session()

    def _record_folder(self) -> Path | None:
        """Data folder of the site that runs, else of the one that this computer has joined."""
        joined = self.settings.values.joined
        return self.engine.data_folder() or (joined.data_dir if joined else None)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _take(self, items: Sequence[Item]) -> None:
        for item in items:
            try:
                self.desk.fold((item,))
                self._heard(item)
            except Exception as error:  # what comes after it is not lost
                self._fault(error, error.__traceback__)
        now = datetime.now(UTC)
        status = self.window.show_desk(self.desk, now)
        self.presence.show_desk(self.desk, status, now)
        self.taken.emit()

    def _heard(self, item: Item) -> None:
        match item:
            case Problem():
                self.teller.tell(item)
            case SessionEnded():
                log.info("the session has ended: %s", item.reason)
                self._join_wanted()
            case SessionStarted() if self.demonstration:
                self.demonstration.hide()  # nothing else can begin now
            case _ if not isinstance(item, FOLDED):
                self._happened(item)

    def _happened(self, event: events.Event) -> None:
        if isinstance(event, events.Warned):
            self.window.say(sentence(event.code, event.params))
        elif isinstance(event, events.Joined) and not self.desk.is_demo:
            self.memory.has_joined()
        elif isinstance(event, events.ConnectionChanged) and not self.desk.is_demo:
            self.memory.has_connected(event)
        log_event(event)
        self._watch(event)

    def _trouble(self, error: UserFacingError) -> None:
        self.engine.buffer.append(Problem.of(error, "", fatal=False))

    def _fault(self, error: BaseException, trace: TracebackType | None) -> None:
        """Passes an uncaught error on to the engine; from any thread."""
        details = "".join(traceback.format_exception(type(error), error, trace))
        self.engine.buffer.append(Problem.of(error, details, fatal=False))

    # -- the end -----------------------------------------------------------------------------------------------------

    @Slot()
    def close(self) -> None:
        """Begins the end: the present step is finished and saved, then the application quits."""
        if self._closing:
            return
        self._closing = self.desk.closing = True
        self._painted.stop()
        self.memory.remember()
        self.window.hosts.end()
        self.engine.close()

    @Slot()
    def _closed(self) -> None:
        log.info("the desktop has closed")
        self._undo_hooks()
        self.appearance.end()
        end_tasks()
        self.presence.end()
        self._place.leave()
        self.window.end()
        self.language.end()
        QTimer.singleShot(0, self._app.quit)  # also where the application's loop has not begun yet
