# SPDX-License-Identifier: Apache-2.0
"""The running desktop: what a person clicks becomes a command, what happens becomes what the window shows."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import cast

from pydantic import JsonValue
from PySide6.QtCore import QByteArray, QObject, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication

from .. import events
from ..demo.settings import DemoOptions
from ..errors import UserFacingError, sentence
from ..site import Record
from .dialogs.ask import Question
from .dialogs.fault import FaultDialog
from .engine import Engine
from .log import catch_faults, log, log_event, start_log, stop_log
from .sessions import Backend
from .settings import SettingsFile
from .theme import Appearance
from .view.desk import Desk
from .view.items import (
    DemoScored,
    Item,
    Measured,
    Problem,
    ReadingShown,
    SessionEnded,
    SessionStarted,
)
from .view.joining import JoinRequest
from .view.trial import TrialWish, request_for
from .window import Window

SCALE_STEP = 0.25
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
        self._folder = folder
        self._watch = watch
        self._keep_settings = keep_settings
        self._closing = self._prepared = False
        self._asks: Question | None = None
        self._told: list[FaultDialog] = []
        self.demo_options = DemoOptions()
        self.settings = SettingsFile(folder)
        broken = self.settings.load() if keep_settings else None
        self.log_path = start_log(folder / "log")
        values = self.settings.values
        self.appearance = Appearance(app, values.appearance, values.text_scale)
        self.desk = Desk()
        self.engine = Engine(backend, self._take, self)
        self.window = Window(folder)
        self._undo_hooks = catch_faults(self._fault)
        self._wire()
        self._restore()
        if broken:
            self.engine.buffer.append(Problem.of(broken, "", fatal=False))

    def _wire(self) -> None:
        window, engine = self.window, self.engine
        window.closing.connect(self.ask_close)
        window.pause_requested.connect(engine.pause)
        window.resume_requested.connect(engine.resume)
        window.appearance_chosen.connect(self._choose_appearance)
        window.text_scaled.connect(self._scale_text)
        window.log_requested.connect(self._open_log)
        window.leave_requested.connect(self._ask_leave)
        window.rounds.action_requested.connect(self._act)
        window.rounds.join_requested.connect(window.show_join)
        window.rounds.demo_requested.connect(self.start_demo)
        window.rounds.try_requested.connect(window.show_trial)
        window.join.join_requested.connect(self.join)
        window.join.cancelled.connect(window.show_rounds)
        window.approvals.send_requested.connect(engine.send)
        window.approvals.keep_requested.connect(engine.keep)
        window.approvals.take_back_requested.connect(engine.take_back)
        window.approvals.try_requested.connect(window.show_trial_of)
        window.trial.read_requested.connect(self._read)
        window.trial.stop_requested.connect(engine.stop_reading)
        engine.closed.connect(self._closed)
        self.appearance.changed.connect(window.show_now)

    def _restore(self) -> None:
        values = self.settings.values
        if values.geometry:
            self.window.restoreGeometry(QByteArray.fromBase64(values.geometry.encode()))
        self.window.mark_appearance(self.appearance.choice)
        self.window.go(values.page)

    def show(self) -> None:
        self.window.show_desk(self.desk, datetime.now(UTC))
        self.window.show()

    @Slot()
    def begin(self) -> None:
        """Starts the threads, and goes on with the federation that this computer takes part in."""
        self.engine.start()
        QTimer.singleShot(AFTER_PAINT_MS, self._prepare)
        log.info("the desktop has started")

    @Slot()
    def _prepare(self) -> None:
        if not self._closing:
            self.window.prepare()
            self.window.monitor.restore(dict(self.settings.values.monitor))
            self._prepared = True

    def set_wishes(self, join: str | None, model: str | None, adapter: Path | None) -> None:
        """What the command line asked for; without a wish, what was going on when the program was last closed."""
        joined = self.settings.values.joined
        if model is not None:
            self.window.trial.offer_model(Path(model), adapter)
            self.window.show_trial()
        elif join is not None:
            self.window.join.prefill(join)
            self.window.show_join()
        elif joined and self.settings.values.rejoin:
            self.engine.join(joined)

    # -- what a person asks for --------------------------------------------------------------------------------------

    @Slot(object)
    def join(self, request: JoinRequest) -> None:
        self.settings.values.joined, self.settings.values.rejoin = request, True
        self._save()
        self.engine.join(request)
        self.window.show_rounds()

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
                self.engine.take_back(entry.sha256)
            case "resume":
                self.engine.resume()
            case "results":
                self.window.show_trial()
            case "retry":
                self._retry()

    def _retry(self) -> None:
        joined = self.settings.values.joined
        if self.desk.is_demo:
            self.start_demo()
        elif joined and self.desk.ended and self.desk.ended.reason == "stopped":
            self.engine.join(joined)
        else:
            if joined:
                self.window.join.prefill_request(joined, self._why_it_ended())
            self.window.show_join()

    def _why_it_ended(self) -> str:
        return next((problem.sentence for problem in reversed(self.desk.problems) if problem.fatal), "")

    @Slot(object)
    def _read(self, wish: TrialWish) -> None:
        try:
            self.engine.read_note(request_for(wish, self.desk, DemoOptions().model, self.engine.blob))
        except UserFacingError as error:
            self.engine.buffer.append(Problem.of(error, "", fatal=False))

    @Slot(str)
    def _choose_appearance(self, choice: str) -> None:
        self.appearance.choose(choice)

    @Slot(int)
    def _scale_text(self, steps: int) -> None:
        """Larger by so many steps; 0: as at first."""
        scale = self.appearance.text_scale + steps * SCALE_STEP if steps else 1.0
        self.appearance.set_text_scale(scale)

    @Slot()
    def _open_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.log_path)))

    @Slot()
    def _ask_leave(self) -> None:
        self._asks = Question(
            self.window,
            self.tr("Stop taking part?"),
            self.tr(
                "This site no longer answers the coordinator. What it holds stays on this computer, and it can join "
                "again with the same folder."
            ),
            yes=self.tr("Stop taking part"),
            no=self.tr("Go on"),
        )
        self._asks.confirmed.connect(self._leave)
        self._asks.open()

    @Slot()
    def _leave(self) -> None:
        self.settings.values.rejoin = False
        self._save()
        self.engine.end_session()

    # -- what happens ------------------------------------------------------------------------------------------------

    def _take(self, items: Sequence[Item]) -> None:
        self.desk.fold(items)
        for item in items:
            match item:
                case Problem():
                    self._tell(item)
                case SessionEnded():
                    log.info("the session has ended: %s", item.reason)
                case Record() | Measured() | ReadingShown() | DemoScored() | SessionStarted():
                    pass
                case _:
                    self._happened(item)
        self.window.show_desk(self.desk, datetime.now(UTC))
        self.taken.emit()

    def _happened(self, event: events.Event) -> None:
        if isinstance(event, events.Warned):
            self.window.say(sentence(event.code, event.params))
        log_event(event)
        self._watch(event)

    def _tell(self, problem: Problem) -> None:
        """Each problem once: a fault of the program with its details, a user's matter as a sentence in the window."""
        log.error("%s", problem.sentence)
        if problem.details:
            log.error("%s", problem.details)
        if problem.code == "desktop.fault":
            dialog = FaultDialog(self.window, problem, self.log_path)
            self._told.append(dialog)
            dialog.open()
        elif not problem.fatal:
            self.window.say(problem.sentence)

    def _fault(self, error: BaseException, trace: TracebackType | None) -> None:
        """From any thread."""
        details = "".join(traceback.format_exception(type(error), error, trace))
        self.engine.buffer.append(Problem.of(error, details, fatal=False))

    # -- the end -----------------------------------------------------------------------------------------------------

    @Slot()
    def ask_close(self) -> None:
        """Asks first where an hour of training would stand still; nothing is lost either way."""
        if self._closing:
            return
        if not self.desk.running or self.desk.computing.phase != "training":
            self.close()
            return
        self._asks = Question(
            self.window,
            self.tr("Close while training?"),
            self.tr("Training stops at its present step, is saved, and goes on when you open the program again."),
            yes=self.tr("Stop and close"),
            no=self.tr("Go on training"),
        )
        self._asks.confirmed.connect(self.close)
        self._asks.open()

    @Slot()
    def close(self) -> None:
        """Begins the end: the present step is finished and saved, then the application quits."""
        if self._closing:
            return
        self._closing = self.desk.closing = True
        self._remember()
        self.engine.close()

    @Slot()
    def _closed(self) -> None:
        log.info("the desktop has closed")
        self._undo_hooks()
        stop_log()
        self.window.end()
        QTimer.singleShot(0, self._app.quit)  # also where the application's loop has not begun yet

    def _remember(self) -> None:
        values = self.settings.values
        values.geometry = bytes(self.window.saveGeometry().toBase64().data()).decode()
        values.page = self.window.page
        if self._prepared:  # else it was never told how it was left
            values.monitor = cast(dict[str, JsonValue], self.window.monitor.state())
        values.appearance, values.text_scale = self.appearance.choice, self.appearance.text_scale
        self._save()

    def _save(self) -> None:
        if not self._keep_settings:
            return
        try:
            self.settings.save()
        except UserFacingError as error:
            self.engine.buffer.append(Problem.of(error, "", fatal=False))
