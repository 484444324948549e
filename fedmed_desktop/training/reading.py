# SPDX-License-Identifier: Apache-2.0
"""One free-text note read by the base model, with an adapter or without, entities told as they come.

Runs on the working thread, between other work: every training phase attaches its adapters again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, Literal

import torch

from ..clinical import AnswerForm, Note, Span, Window, parse_answer, split_note
from ..clinical.answers import outermost, without_reasoning
from ..clinical.partial_answer import PartialAnswer
from ..clinical.reading import LEAST_CHARACTERS, Lengths, Reading, ReadingSettings
from ..clinical.tasks import Entities
from ..clinical.windows import OVERLAP, merged
from ..errors import UserFacingError
from ..federation.work import Control, Stopped
from ..lora import Adapter
from .asking import Sides
from .base import BaseModel
from .batches import Encoder
from .chat import Prompting
from .generation import Request, TokenText, answer_limit, folded_if_small, stream
from .loading import LoadedBase

TURN_TOKENS: Final = 8
"""Tokens that one of two models writes before the other goes on: both are seen to grow; inferred."""

Progress = Callable[[Reading], None]


class NoteReader:
    """Reads notes with a base model that is loaded when the first is read. One thread at a time."""

    def __init__(self, base: LoadedBase) -> None:
        self._base = base

    def read(
        self,
        text: str,
        types: Sequence[str],
        adapter: Adapter | None,
        form: AnswerForm = "html",
        settings: Lengths | None = None,
        progress: Progress = lambda reading: None,
        control: Control | None = None,
        text_tokens: int | None = None,
        frozen: Adapter | None = None,
        personal: Adapter | None = None,
        prompting: Prompting = "plain",
    ) -> Reading:
        """Entities of `types` in the note, by the base alone (adapter None) or with the adapters.

        A note longer than `settings` allow is read in windows that overlap, cut between sentences; `text_tokens` bounds
        a window's text (clinical.reading.SENTENCE_TOKENS), without overlap. `progress` is called on this thread: before
        the first token, after each token and at the end. A stop ends the work before the next token; a stopped Reading
        has what was found. Raises UserFacingError: an empty note, no types, a model that cannot be loaded, an adapter
        that does not fit it, too little memory.
        """
        sides = [Sides(adapter, frozen, personal)]
        (found,) = self.read_beside(
            text, types, sides, form, settings, lambda _, reading: progress(reading), control, text_tokens, prompting
        )
        return found

    def read_beside(
        self,
        text: str,
        types: Sequence[str],
        sides: Sequence[Sides],
        form: AnswerForm = "html",
        settings: Lengths | None = None,
        progress: Callable[[int, Reading], None] = lambda side, reading: None,
        control: Control | None = None,
        text_tokens: int | None = None,
        prompting: Prompting = "plain",
    ) -> list[Reading]:
        """Reads as `read`, with several sets of adapters in turns of TURN_TOKENS; `progress` is told which of them.

        Each reads what it would read alone; its seconds are those of its own turns. A stop ends those still at work.
        """
        if not text.strip():
            raise UserFacingError("clinical.note_empty")
        if not types:
            raise UserFacingError("clinical.no_types_asked")
        control = control or Control()
        accounts = [_Account(len(text), partial(progress, number)) for number in range(len(sides))]
        try:
            control.check()
            base = self._base.get()
            base.use_threads()
            lengths = settings or ReadingSettings()
            runs = [
                _Job(base, types, form, lengths, text_tokens, account, control.check, prompting).read(text)
                for account in accounts
            ]
            _in_turns(base, sides, runs, accounts)
        except Stopped:
            for account in accounts:
                account.end("stopped")
        except torch.OutOfMemoryError:
            raise UserFacingError("training.out_of_memory", device=self._base.get().device.name) from None
        return [account.reading for account in accounts]


def _in_turns(
    base: BaseModel, sides: Sequence[Sides], runs: Sequence[Iterator[None]], accounts: Sequence[_Account]
) -> None:
    """Lets each of the runs go on for some tokens with its own adapters, until all have ended. The last one left goes
    on to its end. Adapters are put on the model only where they are not on it; the base alone sets them aside.
    """
    attached: int | None = None
    if not any(side.adapter for side in sides):
        base.lora.attach(None)
    left = list(range(len(sides)))
    while left:
        for number in list(left):
            own = sides[number]
            if own.adapter and attached != number:
                base.lora.attach(own.adapter, own.frozen, own.personal)
                attached = number
            turn = TURN_TOKENS if len(left) > 1 else None
            with folded_if_small(base) if own.adapter else base.lora.aside(), accounts[number].turn():
                written = sum(1 for _ in islice(runs[number], turn))
            if turn is None or written < turn:
                accounts[number].end("finished")
                left.remove(number)


class _Account:
    """The reading so far, reported at each change. Its clock runs in its own turns alone."""

    def __init__(self, length: int, progress: Progress) -> None:
        self.reading = Reading(length)
        self._progress = progress
        self._spent = 0.0
        self._since: float | None = None
        self._read: list[tuple[Window, list[Span]]] = []
        self._done: tuple[Span, ...] = ()

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._spent, self._since = self._seconds(), None

    def begin(self, windows: int) -> None:
        self.reading = replace(self.reading, windows=windows)
        self._progress(self.reading)

    def token(self, window: Window, answer: PartialAnswer) -> None:
        was = self.reading
        seconds = self._seconds()
        self._tell(
            spans=tuple(outermost([*self._done, *window.to_note(answer.spans)])),
            characters=max(was.characters, window.offset + answer.reached),
            tokens=was.tokens + 1,
            first_token_seconds=seconds if was.first_token_seconds is None else was.first_token_seconds,
        )

    def window(self, window: Window, found: list[Span], cut_short: bool) -> None:
        self._read.append((window, found))
        self._done = tuple(outermost(merged(self._read)))
        was = self.reading
        self._tell(
            spans=self._done,
            characters=window.offset + len(window.note.text),
            window=was.window + 1,
            cut_short=was.cut_short or cut_short,
        )

    def end(self, state: Literal["finished", "stopped"]) -> None:
        """Says how it ended; what has ended stays so."""
        if self.reading.state == "reading":
            self._tell(state=state, **({"characters": self.reading.length} if state == "finished" else {}))

    def _tell(self, **changes: object) -> None:
        self.reading = replace(self.reading, seconds=self._seconds(), **changes)  # type: ignore[arg-type]
        self._progress(self.reading)

    def _seconds(self) -> float:
        return self._spent + (0.0 if self._since is None else time.perf_counter() - self._since)


class _Job:
    """One note, window by window."""

    def __init__(
        self,
        base: BaseModel,
        types: Sequence[str],
        form: AnswerForm,
        settings: Lengths,
        text_tokens: int | None,
        account: _Account,
        check: Callable[[], None],
        prompting: Prompting,
    ) -> None:
        self._base, self._types, self._form, self._settings = base, tuple(types), form, settings
        self._task = Entities(types, form)
        self._encoder = Encoder(base.tokenizer, [self._task], prompting)
        self._text_tokens = text_tokens
        self._account, self._check = account, check

    def read(self, text: str) -> Iterator[None]:
        """Goes on by a token at each step."""
        windows = self._windows(text)
        self._account.begin(len(windows))
        for window in windows:
            yield from self._read(window)

    def _read(self, window: Window) -> Iterator[None]:
        text = window.note.text
        prompt = self._encoder.prompt(self._task.prompt(text))
        if len(prompt) >= self._base.context:
            raise UserFacingError("training.context_too_short", context=self._base.context)
        limit = answer_limit(self._base, self._encoder.length(text), len(prompt), self._settings.max_new_tokens)
        partial_answer, decoded = PartialAnswer(text, self._types, self._form), TokenText(self._base.tokenizer)
        tokens: list[int] = []
        for token in stream(self._base, Request(prompt, limit), check=self._check):
            tokens.append(token)
            partial_answer.add(decoded.add(token))
            self._account.token(window, partial_answer)
            yield
        answer = without_reasoning(self._base.tokenizer.decode(tokens, skip_special_tokens=True), text)
        self._account.window(window, parse_answer(answer, text, self._types, self._form), len(tokens) == limit)

    def _windows(self, text: str) -> list[Window]:
        """The note in windows whose prompt and expected answer fit."""
        # A pasted text may hold half a surrogate pair, which no tokeniser takes; offsets stay.
        note = Note(id="note", text=re.sub("[\\ud800-\\udfff]", "\ufffd", text), entities=())
        room = len(text)
        while True:
            self._check()
            # A small model's sentences are whole; other windows may be cut where something is said.
            windows = split_note(note, room, 0 if self._text_tokens else room // OVERLAP)
            fullest = max(self._fullness(window.note.text) for window in windows)
            if fullest <= 1 or room <= LEAST_CHARACTERS:
                return windows
            longest = max(len(window.note.text) for window in windows)
            room = max(LEAST_CHARACTERS, int(longest * max(0.02, min(0.8, 1 / fullest))))

    def _fullness(self, text: str) -> float:
        """Tokens needed over tokens allowed. The answer is taken as twice as long as the text: in the bundled notes,
        marked up, 1.6 times in the median and 2.2 at the 90th percentile."""
        words = self._encoder.length(text)
        whole = len(self._encoder.prompt(self._task.prompt(text))) + 2 * words
        return max(
            2 * words / self._settings.max_new_tokens,
            whole / self._base.room(self._settings.max_tokens),
            words / (self._text_tokens or words or 1),
        )
