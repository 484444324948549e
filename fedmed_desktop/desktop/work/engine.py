# SPDX-License-Identifier: Apache-2.0
"""The engine room of the desktop: its threads, the session that runs, and every command that a page can give.
Everything here is called in the GUI thread and returns at once; what comes of it arrives as items through the pump.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from ...demo.settings import DemoOptions, site_folders
from ...errors import UserFacingError
from ...federation import Control, Stopped
from ...site import TAKE_BACK, Jobs, SiteAgent, Verdict, operating_user
from ...site.fitted import FINAL
from ...wording import told, tr
from .bridge import EventBuffer, Pump
from .log import log
from .network import NetworkThread
from .news import (
    AgreementAsked,
    EvaluationShown,
    FittingShown,
    Item,
    Paused,
    Problem,
    ReadingShown,
    SessionStarted,
    Side,
)
from .operator import Operator
from .requests import EvaluationWanted, FittingWanted, JoinRequest, TrialRequest
from .sessions import Backend, Session
from .worker import TrainingThread

DEMO_ADDRESS = "this computer"


class Engine(QObject):
    """Owns the threads from `start` to `close`; `closed` is emitted once nothing runs any more. `take` is handed, ten
    times a second in the GUI thread, whatever has happened since the last time.
    """

    closed = Signal()

    def __init__(self, backend: Backend, take: Callable[[Sequence[Item]], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._backend = backend
        self._take = take
        self.buffer = EventBuffer()
        self._pump = Pump(self.buffer, self._arrived, self)
        self._network = NetworkThread(self._fault)
        self._training = TrainingThread()
        self._jobs = Jobs(self._training)
        self._operator = Operator()
        self._session: Session | None = None
        self._reading, self._evaluating, self._fitting = Control(), Control(), Control()
        self._waiting: dict[Control, Callable[[], None]] = {}  # work that has not had its turn, and how its end is told
        self._started = self._closing = self._ended = False
        self.take_back_time = TAKE_BACK

    def start(self) -> None:
        """Nothing where `close` came first."""
        if self._closing or self._ended:
            return
        self._started = True
        self._network.start()
        self._training.start()
        self._pump.start()

    # -- sessions ----------------------------------------------------------------------------------------------------

    @property
    def occupied(self) -> bool:
        """Tells whether a session runs, or everything ends: nothing else can begin then."""
        return self._closing or self._ended or (self._session is not None and not self._session.over)

    def join(self, request: JoinRequest) -> None:
        """Takes part as a site. Nothing while another session runs, as where a button is pressed twice."""
        if self.occupied:
            return
        folder = request.data_dir / FINAL
        own = (request.name,)
        started = SessionStarted(
            "site", request.name, request.address, own, request.notes, request.model, folder, request.types_map
        )
        self._begin(started, lambda session: session.site(request))

    def start_demo(self, options: DemoOptions) -> None:
        """A whole federation on this computer; the person decides for its first site. See `join`."""
        if self.occupied:
            return
        try:
            names = tuple(folder.name for folder in site_folders(options))
        except UserFacingError as error:
            self._put(Problem.of(error, "", fatal=False))
            return
        folder = options.report / "adapter"
        notes = options.notes / names[0]
        started = SessionStarted(
            "demo", names[0], DEMO_ADDRESS, names, notes, options.model, folder, longer=options.longer
        )
        self._begin(started, lambda session: session.demo(options))

    def _begin(self, started: SessionStarted, work: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        self.stop_fitting()
        self._fitting = Control()  # what becomes of it is no news of the one that begins
        self._put(started)
        session = self._session = Session(self._backend, self._jobs, self._operator, self._put)
        self._network.call(session.begin, work(session))
        if self._started:
            self._pump.empty()  # the page that was clicked shows at once that it was

    @Slot()
    def end_session(self) -> None:
        """Stops at the next step, with a checkpoint; an approval that is not in effect yet is taken back."""
        if self._session:
            self._network.call(self._session.stop)

    # -- commands ----------------------------------------------------------------------------------------------------

    @Slot(str, str, str)
    def send(self, sha256: str, reason: str, by: str) -> None:
        """Approves: in effect after the time in which it can be taken back. `by`: the person's name."""
        self.decide(sha256, Verdict(True, by, reason, self.take_back_time))

    @Slot(str, str, str)
    def second(self, sha256: str, reason: str, name: str) -> None:
        """Approves as a second person, who is at the first one's account."""
        self.decide(sha256, Verdict.of_second(name, operating_user(), reason, self.take_back_time))

    @Slot(str, str, str)
    def keep(self, sha256: str, reason: str, by: str) -> None:
        self.decide(sha256, Verdict(False, by, reason))

    def decide(self, sha256: str, verdict: Verdict) -> None:
        """The answer to the agent's question; a problem is told where it is no longer asked."""
        self._on_network(lambda agent: self._operator.answer(sha256, verdict))

    @Slot(str, str)
    def take_back(self, sha256: str, by: str = "") -> None:
        """`by`: the person's name; empty for the account's."""
        who = by or operating_user()
        self._on_network(lambda agent: agent.take_back(sha256, who, "taken back in time"))

    @Slot()
    def pause(self) -> None:
        self._on_network(SiteAgent.pause, Paused(True))

    @Slot()
    def resume(self) -> None:
        self._on_network(SiteAgent.resume, Paused(False))

    @Slot()
    def agree(self) -> None:
        """Trains from now on what the federation asks for."""
        self._on_network(SiteAgent.resume, AgreementAsked(False))

    def _on_network(self, command: Callable[[SiteAgent], None], *then: Item) -> None:
        """A command for the agent, on its own thread, and what is told once it is done; what the agent refuses comes
        back as a problem, once.
        """
        session = self._session

        def call() -> None:
            if session is None or session.agent is None:
                return
            try:
                command(session.agent)
                for item in then:
                    self._put(item)
            except Exception as error:
                self._put(Problem.of(error, traceback.format_exc(), fatal=False))
                self._put(session.agent.record())

        self._network.call(call)

    def read_note(self, request: TrialRequest) -> None:
        """Reads a note with each side's model, one after the other, when the training thread has time for it. What
        becomes of an earlier reading, which ends, is no news any more.
        """
        self.stop_reading()
        control = self._reading = Control()
        left = list(request.sides)
        for side in left:
            self._put(ReadingShown(side, "waiting"))

        def put(item: Item) -> None:
            if isinstance(item, ReadingShown) and item.state in ("done", "stopped"):
                left.remove(item.side)
            if control is self._reading:
                self._put(item)

        def job() -> None:
            if control.stopping:  # before its turn has come
                for side in left:
                    put(ReadingShown(side, "stopped"))
                return
            try:
                self._backend.read(request, put, control)
            except Exception as error:
                self.failed_to_read(left if control is self._reading else (), error)

        self._training.submit(job)

    def failed_to_read(self, sides: Sequence[Side], error: Exception) -> None:
        """The side at work says why, and those after it that their turn never came; others keep their results."""
        problem = Problem.of(error, traceback.format_exc(), fatal=False)
        for number, side in enumerate(sides):
            sentence = tr("Not read, because the other side could not be read.") if number else problem.sentence
            self._put(ReadingShown(side, "failed", sentence=sentence))
        if isinstance(error, UserFacingError):  # the page says it; nobody needs to be told twice
            log.error("%s", told(error.__cause__ or error))
        else:
            self._put(problem)

    @Slot()
    def stop_reading(self) -> None:
        self._reading.stop()

    def evaluate(self, wanted: EvaluationWanted) -> None:
        """Evaluates on notes when the training thread has time for it; an earlier evaluation is stopped."""
        self.stop_evaluating()
        control = self._evaluating = Control()

        def put(item: Item) -> None:
            if control is self._evaluating:  # nobody waits for an earlier one any more
                self._put(replace(item, source=wanted.notes) if isinstance(item, EvaluationShown) else item)

        self._when_free(EvaluationShown, put, control, lambda: self._backend.evaluate(wanted, put, control))

    @Slot()
    def stop_evaluating(self) -> None:
        self._stop(self._evaluating)

    def fit(self, wanted: FittingWanted) -> None:
        """Fits a model to notes when the training thread has time for it; an earlier fitting is stopped."""
        self.stop_fitting()
        control = self._fitting = Control()

        def put(item: Item) -> None:
            if control is self._fitting:  # nobody waits for an earlier one any more
                self._put(item)

        self._when_free(FittingShown, put, control, lambda: self._backend.fit(wanted, put, control))

    @Slot()
    def stop_fitting(self) -> None:
        self._stop(self._fitting)

    def _stop(self, control: Control) -> None:
        """Stops work; what waits for its turn has stopped at once, which may be hours away."""
        control.stop()
        if tell := self._waiting.pop(control, None):
            tell()

    def _when_free(
        self,
        shown: type[EvaluationShown] | type[FittingShown],
        put: Callable[[Item], None],
        control: Control,
        work: Callable[[], None],
    ) -> None:
        """Does the work when the training thread has time for it, and tells how it ends."""
        put(shown("waiting"))
        self._waiting[control] = lambda: put(shown("stopped"))

        def job() -> None:
            if self._waiting.pop(control, None) is None:  # it was stopped, and has been told
                return
            try:
                control.check()
                work()
            except Stopped:
                put(shown("stopped"))
            except Exception as error:
                problem = Problem.of(error, traceback.format_exc(), fatal=False)
                put(shown("failed", sentence=problem.sentence))
                if not isinstance(error, UserFacingError):
                    self._put(problem)

        self._training.submit(job)

    def blob(self, sha256: str) -> Path | None:
        """Path of an adapter that this site holds, or None."""
        agent = self._session.agent if self._session else None
        return agent.blob_path(sha256) if agent else None

    def data_folder(self) -> Path | None:
        """Folder in which the site that runs keeps its state; None while none runs."""
        session = self._session
        return session.agent.data_dir if session and session.agent and not session.over else None

    def own(self) -> dict[str, Path]:
        """Files of the parts of the model that this site keeps for itself."""
        agent = self._session.agent if self._session else None
        return agent.holdings.own_paths() if agent else {}

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Begins the end: work stops at its next step and is saved. `closed` follows; nothing here waits for it."""
        self._closing = True
        self.stop_reading()
        self.stop_evaluating()
        self.stop_fitting()
        self.end_session()
        if not self._started:
            QTimer.singleShot(0, self._end)  # not from within: a window cannot be closed while it asks to be

    @property
    def busy(self) -> bool:
        """Tells whether something still runs that has to be waited for."""
        return self._training.busy or (self._session is not None and not self._session.over)

    def _put(self, item: Item) -> None:
        self.buffer.append(item)

    def _fault(self, error: BaseException) -> None:
        """Tells an error that nothing caught on the network thread."""
        self._put(Problem.of(error, "".join(traceback.format_exception(error)), fatal=False))

    def _arrived(self, items: Sequence[Item]) -> None:
        try:
            self._take(items)
        finally:  # whatever a page has met, the program can be closed
            if self._closing and not self.busy:
                self._end()

    @Slot()
    def _end(self) -> None:
        self._closing, self._ended = False, True
        self._pump.stop()
        self._network.stop()
        self._training.shutdown()
        try:
            self._take(self.buffer.drain())
        finally:
            self.closed.emit()
