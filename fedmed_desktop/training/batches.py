# SPDX-License-Identifier: Apache-2.0
"""Notes as token sequences, and the order in which a round sees them: a function of (seed, step) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from ..clinical import Note, mention_starts
from ..clinical.tasks import Asked, Task
from .chat import Prompting, chat_frame
from .plain_text import text_offsets, text_tokens

_SORTED_BATCHES: Final = 32
"""Batches whose rows are sorted by length together: enough to leave 3 % padding, few enough for a random order."""


@dataclass(frozen=True)
class Example:
    """One prompt about a piece of a note, and its answer, as tokens; the answer ends with the end of text or turn.

    The first token of an answer without a prompt is no label: nothing stands before it that could tell it. `options`
    are answers to choose from, without that end, of what is read; what is taught has its answer. `begins`: the tokens
    of the answer with which the mark of a mention begins.
    """

    asked: Asked
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    options: tuple[tuple[int, ...], ...] = ()
    begins: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + max(len(self.answer), *map(len, self.options), 0)

    def labels(self, loss_on: Literal["answer", "all"]) -> int:
        """Tokens that are predicted, each from those before it."""
        return len(self.answer) if loss_on == "answer" and self.prompt else len(self) - 1


@dataclass(frozen=True)
class Source:
    """A note that one task asks about: its examples are `items[start:stop]`."""

    task: Task
    note: Note
    start: int
    stop: int


@dataclass(frozen=True)
class Examples:
    """Examples made of a list of notes, of which so many `notes` gave any.

    `split` notes were cut into windows, `shortened` ones are asked about without a part of their text; pieces
    `left_out` did not fit even so.
    """

    items: tuple[Example, ...]
    notes: int = 0
    sources: tuple[Source, ...] = ()
    split: int = 0
    shortened: int = 0
    left_out: tuple[Note, ...] = ()

    def supervised(self, loss_on: Literal["answer", "all"]) -> int:
        """Labels of one pass."""
        return sum(e.labels(loss_on) for e in self.items)

    @cached_property
    def sha256(self) -> str:
        """Identity of the tokens in their order."""
        digest = hashlib.sha256()
        for e in self.items:
            for part in (e.prompt, e.answer, *e.options):
                digest.update(np.array([len(part), *part], "<u4").tobytes())
        return digest.hexdigest()


class Encoder:
    """Tokenises prompt and answer apart, so that training and generation see the same prompt tokens.

    Without tasks there is no prompt: the note itself is learnt, to its last token. `prompting` "chat" puts prompts
    through the tokenizer's template. Raises UserFacingError where that cannot be used.
    """

    def __init__(self, tokenizer: Any, tasks: Sequence[Task], prompting: Prompting = "plain") -> None:
        self._tokenizer = tokenizer
        self._tasks = tuple(tasks)
        self._frame = chat_frame(tokenizer) if prompting == "chat" and tasks else None
        self._end = self._frame.end if self._frame else tokenizer.eos_token_id
        start = tokenizer.bos_token_id
        # Only where the tokenizer puts it there itself: Llama's does, Qwen's does not.
        begins = tokenizer("a")["input_ids"][0] == start
        self._start = (start,) if start is not None and begins else ()

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Tokens of a whole prompt, of which no word becomes a special token."""
        if self._frame:
            return (*self._frame.before, *self._tokens(prompt.rstrip()), *self._frame.after)
        return (*self._start, *self._tokens(prompt))

    def length(self, text: str) -> int:
        """Tokens of the bare text."""
        return len(self._tokens(text))

    def encode(
        self,
        notes: Iterable[Note],
        max_tokens: int,
        *,
        reading: bool = False,
        unlabelled: bool = False,
        most_chars: int | None = None,
    ) -> Examples:
        """Examples of at most `max_tokens`: what the tasks teach about the notes, or ask about them (`reading`).

        A note gives examples for each task that it is labelled for, or for all (`unlabelled`). Longer notes are cut
        between sentences; as plain text, between tokens. `most_chars`: of a part, where that should be less than fits.
        """
        items: list[Example] = []
        sources: list[Source] = []
        left_out: list[Note] = []
        used = split = shortened = 0

        def add(pieces: list[Example]) -> bool:
            items.extend(piece for piece in pieces if len(piece) <= max_tokens)
            left_out.extend(piece.asked.note for piece in pieces if len(piece) > max_tokens)
            return len(pieces) > 1

        for note in notes:
            before = len(items)
            if not self._tasks:
                split += add(self._text(note, max_tokens))
            cut = short = False
            for task in self._tasks:
                if unlabelled or task.labelled(note):
                    start = len(items)
                    pieces = self._pieces(task, note, max_tokens, reading, most_chars)
                    cut |= add(pieces)
                    short |= any(piece.asked.left_off for piece in pieces if len(piece) <= max_tokens)
                    sources.append(Source(task, note, start, len(items)))
            used += len(items) > before
            split += cut
            shortened += short
        return Examples(tuple(items), used, tuple(sources), split, shortened, tuple(left_out))

    def _pieces(self, task: Task, note: Note, max_tokens: int, reading: bool, most_chars: int | None) -> list[Example]:
        def made(room: int) -> list[Example]:
            return [self._example(asked, reading) for asked in (task.ask if reading else task.teach)(note, room)]

        def fits(pieces: list[Example]) -> bool:
            return all(len(piece) <= self._most(piece, max_tokens, reading) for piece in pieces)

        room = min(len(note.text), most_chars or len(note.text))
        pieces = made(room)
        # Halving finds a window that fits in a few tries; one of a few words is as short as makes sense.
        while room > 40 and not fits(pieces):
            room //= 2
            pieces = made(room)
        # What is left off counts, unlike the length of windows: a few more tries find nearly all that fits.
        for part in (2, 4, 8, 16) if any(piece.asked.left_off for piece in pieces) and fits(pieces) else ():
            if fits(more := made(room + room // part)):
                room, pieces = room + room // part, more
        return pieces

    def _most(self, piece: Example, max_tokens: int, reading: bool) -> int:
        """Tokens of an example. An answer that the model is to write gets as many as its prompt.

        How long the right one is must not decide how a note is read.
        """
        return max_tokens // 2 if reading and not piece.asked.options else max_tokens

    def _text(self, note: Note, max_tokens: int) -> list[Example]:
        """Windows of even length, each with the token before it as its prompt: the start token for a note's first.

        So every token is a label exactly once, except the first one where the tokenizer has no start token.
        """
        tokens = (*self._start, *self._tokens(note.text), self._end)
        total = len(tokens) - 1
        pieces = max(1, -(-total // (max_tokens - 1)))
        labels = max(1, -(-total // pieces))
        examples = []
        for first in range(0, total, labels):
            known = 1 if first else len(self._start)
            window = tokens[first : first + labels + 1]
            examples.append(Example(Asked(note, ""), window[:known], window[known:]))
        return examples

    def _example(self, asked: Asked, reading: bool) -> Example:
        if reading:
            options = tuple(tuple(self._tokens(option)) for option in asked.options)
            return Example(asked, self.prompt(asked.prompt), (), options)
        tokens, begins = self._answer(asked.answer)
        return Example(asked, self.prompt(asked.prompt), (*tokens, self._end), begins=begins)

    def _answer(self, answer: str) -> tuple[list[int], tuple[int, ...]]:
        """Tokens, and which of them begin the mark of a mention; such a token may hold the blank before it too."""
        starts = mention_starts(answer)
        try:
            tokens, places = text_offsets(self._tokenizer, answer)
        except ValueError:  # such a tokenizer is refused where these tokens are to weigh more
            return self._tokens(answer), ()
        return tokens, tuple(next(i for i, (_, end) in enumerate(places) if end > start) for start in starts)

    def _tokens(self, text: str) -> list[int]:
        return text_tokens(self._tokenizer, text)


class Schedule:
    """The examples of each step in a round: shuffled by (seed, epoch), with rows of similar length in a batch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size, self._seed = batch_size, seed
        self._epoch = -1
        self._batches: list[list[int]] = []

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def batch(self, step: int) -> list[int]:
        """Indices of the examples of step 0, 1, ...; longest first."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._order(epoch)
        return self._batches[place]

    def _order(self, epoch: int) -> list[list[int]]:
        rng = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        order = rng.permutation(len(self._lengths))
        size, window = self._batch_size, self._batch_size * _SORTED_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), window):
            rows = order[start : start + window]
            rows = rows[np.argsort(-self._lengths[rows], kind="stable")]
            batches += [rows[i : i + size].tolist() for i in range(0, len(rows), size)]
        return [batches[i] for i in rng.permutation(len(batches))]


@dataclass(frozen=True)
class Batch:
    """Padded on the right. `predicts` (rows, length) marks positions whose next token is a label; `labels` are those.

    There is no attention mask: in a causal model no real token looks at the padding behind it. `lengths` are those of
    the rows without it. `weights` of the labels (None: all 1).
    """

    tokens: Tensor
    predicts: Tensor
    labels: Tensor
    lengths: tuple[int, ...]
    weights: Tensor | None = None

    @classmethod
    def of(cls, tokens: Tensor, predicts: Tensor, lengths: Iterable[int], weights: Tensor | None = None) -> Batch:
        """A batch with its labels."""
        return cls(tokens, predicts, tokens.roll(-1, 1)[predicts], tuple(lengths), weights)

    @property
    def count(self) -> int:
        """Tokens without padding."""
        return sum(self.lengths)

    def on(self, device: torch.device) -> Batch:
        """The batch on the device; copies to a GPU go on beside what is computed there."""
        if self.tokens.device.type == device.type or device.type != "cuda":
            return self
        there = partial(_placed, device)
        weights = None if self.weights is None else there(self.weights)
        return Batch(there(self.tokens), there(self.predicts), there(self.labels), self.lengths, weights)


def _placed(device: torch.device, tensor: Tensor) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True)


def collate(
    examples: Sequence[Example], loss_on: Literal["answer", "all"], device: torch.device, mention_weight: float = 1.0
) -> Batch:
    """Examples as one batch; `mention_weight` is that of the labels with which a mention's mark begins."""
    length = max(map(len, examples))
    tokens = np.zeros((len(examples), length), np.int64)
    predicts = np.zeros((len(examples), length), bool)
    for row, example in enumerate(examples):
        tokens[row, : len(example)] = example.prompt + example.answer
        first = len(example) - 1 - example.labels(loss_on)
        predicts[row, first : len(example) - 1] = True
    weights = None
    if mention_weight != 1:
        by_place = np.ones(predicts.shape, np.float32)
        for row, example in enumerate(examples):
            by_place[row, [len(example.prompt) + token - 1 for token in example.begins]] = mention_weight
        weights = torch.from_numpy(by_place[predicts])
    return Batch.of(torch.from_numpy(tokens), torch.from_numpy(predicts), map(len, examples), weights).on(device)


def by_length(examples: Sequence[Sized], max_padded: int, max_rows: int, max_padding: float = 1.0) -> list[list[int]]:
    """Indices grouped for evaluation, longest first, so that rows x length stays within `max_padded` tokens.

    `max_padding`: the share of a group's tokens that may be padding.
    """
    order = sorted(range(len(examples)), key=lambda i: (-len(examples[i]), i))
    groups: list[list[int]] = []
    tokens = 0
    for index in order:
        group, length = groups[-1] if groups else [], len(examples[index])
        padded = (len(group) + 1) * len(examples[group[0]]) if group else 0
        if group and len(group) < max_rows and padded <= max_padded and tokens + length >= (1 - max_padding) * padded:
            group.append(index)
            tokens += length
        else:
            groups.append([index])
            tokens = length
    return groups
