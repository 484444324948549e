# SPDX-License-Identifier: Apache-2.0
"""A host's connection: it runs on a network thread of its own, and what comes of it is taken five times a second."""

from __future__ import annotations

import concurrent.futures
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from ... import events
from ...errors import UserFacingError
from ...federation import FederationSpec
from ...overview import Overview
from ...protocol.hosting import Invited
from ...protocol.invitation import Invitation
from ...site.hosting import HostAgent
from ...wording import sentence, told
from ..work.network import NetworkThread
from .acts import Wish
from .sites import Connection

TAKE_MS: Final = 200


@dataclass(frozen=True)
class Answer:
    """Outcome of an act; `refusal` is the sentence of why it was not done."""

    wish: Wish
    refusal: str = ""
    invited: Invited | None = None


class HostLine(QObject):
    """`changed`: the overview or the connection is another; `answered` carries an Answer; `waits`: this host's own key
    waits to be confirmed. `faulted` carries an exception of the program. GUI thread, but for what says otherwise.
    """

    changed = Signal()
    answered = Signal(object)
    waits = Signal(str)
    faulted = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.overview: Overview | None = None
        self.connection: Connection = "connecting"
        self.problem = ""
        self._came: deque[Callable[[], None]] = deque()  # from the network thread
        self._network: NetworkThread | None = None
        self._agent: HostAgent | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(TAKE_MS)
        self._timer.timeout.connect(self._take)

    @property
    def is_open(self) -> bool:
        return self._agent is not None

    @property
    def name(self) -> str:
        """Name of this host in the federation."""
        return self._agent.name if self._agent else ""

    @property
    def federation(self) -> str:
        """Name of the federation, as far as it is known."""
        known = self._agent.known if self._agent else None
        return known.federation_name if known else ""

    @property
    def spec(self) -> FederationSpec | None:
        return self._agent.spec if self._agent else None

    def begin(self, folder: Path, invitation: Invitation | None, address: str = "", proxy: str = "system") -> None:
        """Opens it. Raises UserFacingError: the folder or the invitation is not one of a host."""
        self.end()
        self._agent = HostAgent(
            data_dir=folder, show=self._shown, emit=self._emitted, invitation=invitation, address=address, proxy=proxy
        )
        self.overview, self.connection, self.problem = None, "connecting", ""
        self._network = NetworkThread(self._lost)
        self._network.start()
        self._network.submit(self._agent.run()).add_done_callback(self._over)
        self._timer.start()
        self.changed.emit()

    def end(self) -> None:
        """Closes it, and waits until its thread has ended: milliseconds."""
        self._timer.stop()
        if self._network is not None:
            self._network.stop()
        self._network = self._agent = None
        self._came.clear()

    def ask(self, wish: Wish) -> None:
        """Asks the coordinator; `answered` comes, whatever becomes of it."""
        if self._agent is None or self._network is None:
            return
        self._network.submit(_asked(self._agent, wish)).add_done_callback(partial(self._answered, wish))

    # -- on the network thread -----------------------------------------------------------------------------------------

    def _shown(self, overview: Overview) -> None:
        self._came.append(partial(self._show, overview))

    def _emitted(self, event: events.Event) -> None:
        self._came.append(partial(self._hear, event))

    def _answered(self, wish: Wish, future: concurrent.futures.Future[Invited | None]) -> None:
        self._came.append(partial(self._answer, wish, future))

    def _over(self, future: concurrent.futures.Future[None]) -> None:
        self._came.append(partial(self._end_of, future))

    def _lost(self, error: BaseException) -> None:
        self._came.append(partial(self.faulted.emit, error))

    # -- taken in the GUI thread ---------------------------------------------------------------------------------------

    @Slot()
    def _take(self) -> None:
        came = bool(self._came)
        while self._came:
            self._came.popleft()()
        if came:
            self.changed.emit()

    def _show(self, overview: Overview) -> None:
        self.overview, self.connection, self.problem = overview, "connected", ""

    def _hear(self, event: events.Event) -> None:
        match event:
            case events.ConnectionChanged(state="connected"):
                pass  # it is, once it shows something: before that it may be sent away
            case events.ConnectionChanged():
                self.connection = event.state
                self.problem = sentence(event.code, event.params) if event.code else ""
            case events.IdentityShown(waits=True):
                self.connection = "waiting"
                self.waits.emit(event.phrase)
            case events.Warned():
                self.problem = sentence(event.code, event.params)

    def _answer(self, wish: Wish, future: concurrent.futures.Future[Invited | None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.answered.emit(Answer(wish, invited=future.result()))
        elif isinstance(error, UserFacingError):
            self.answered.emit(Answer(wish, told(error)))
        else:
            self.faulted.emit(error)

    def _end_of(self, future: concurrent.futures.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, UserFacingError):
            self.connection, self.problem = "refused", told(error)
        elif error is not None:
            self.faulted.emit(error)


async def _asked(agent: HostAgent, wish: Wish) -> Invited | None:
    work: dict[str, Callable[[], Coroutine[Any, Any, Invited | None]]] = {
        "invite": lambda: agent.invite(wish.site, wish.valid, wish.rotates),
        "confirm": lambda: agent.confirm(wish.site, wish.key),
        "revoke": lambda: agent.revoke(wish.site),
        "pause": agent.pause,
        "resume": agent.resume,
        "close": lambda: agent.close_round(wish.round, wish.attempt),
        "publish": lambda: agent.publish(wish.adapter),
    }
    return await work[wish.act]()
