# SPDX-License-Identifier: Apache-2.0
"""Reading ahead: the next few modules of the adapters that are combined are read and hashed in another thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from ..lora.module import Module, ModuleSource

# Modules that lie ready, whatever the number of adapters: one is not enough where the disk stutters.
_MOST: Final = 4


class Ahead:
    """Reads adapters in step: a module of each, in this order, then the next module of each.

    While they are asked for so, the next modules are read before anybody asks. Whatever else is asked for is read then.
    `reading` has one thread, in which all of it is read. Not for use by several threads at once.
    """

    def __init__(self, adapters: Sequence[ModuleSource], reading: Executor) -> None:
        self._adapters = adapters
        self._names = tuple(adapters[0].names) if adapters else ()
        self._places = {name: at for at, name in enumerate(self._names)}
        self._reading = reading
        self._coming: deque[tuple[int, Future[Module]]] = deque()
        self._last: tuple[int, Module] | None = None

    @property
    def sources(self) -> list[ModuleSource]:
        """The same adapters, for who combines them."""
        return [_InStep(self, number) for number in range(len(self._adapters))]

    def names(self, number: int) -> Iterable[str]:
        return self._adapters[number].names

    def module(self, number: int, name: str) -> Module:
        """The module of that name of the adapter with this number."""
        if (place := self._places.get(name)) is None:  # not in step at all
            return self._reading.submit(self._adapters[number].module, name).result()
        at, before = place * len(self._adapters) + number, self._last
        if before is not None and before[0] == at:
            return before[1]
        in_step = before is None or before[0] + 1 == at
        self._last = None
        while self._coming and self._coming[0][0] != at:
            self._coming.popleft()[1].cancel()
        coming = self._coming.popleft()[1] if self._coming else self._read(at)
        if in_step:
            self._read_on(at)
        module = coming.result()
        self._last = at, module
        return module

    def _read_on(self, at: int) -> None:
        begin = self._coming[-1][0] + 1 if self._coming else at + 1
        for place in range(begin, min(at + 1 + _MOST, len(self._names) * len(self._adapters))):
            self._coming.append((place, self._read(place)))

    def _read(self, at: int) -> Future[Module]:
        place, number = divmod(at, len(self._adapters))
        return self._reading.submit(self._adapters[number].module, self._names[place])


class _InStep:
    """One of the adapters that are read in step."""

    def __init__(self, ahead: Ahead, number: int) -> None:
        self._ahead, self._number = ahead, number

    @property
    def names(self) -> Iterable[str]:
        return self._ahead.names(self._number)

    def module(self, name: str) -> Module:
        return self._ahead.module(self._number, name)


class InThread:
    """An adapter that is read in the thread of `reading`, and whose last module is kept for who asks again."""

    def __init__(self, source: ModuleSource, reading: Executor) -> None:
        self.names = tuple(source.names)
        self._source, self._reading = source, reading
        self._last: tuple[str, Module] | None = None

    def module(self, name: str) -> Module:
        if self._last is None or self._last[0] != name:
            self._last = None
            self._last = name, self._reading.submit(self._source.module, name).result()
        return self._last[1]
