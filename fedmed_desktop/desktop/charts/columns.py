# SPDX-License-Identifier: Apache-2.0
"""Named columns of numbers that grow: one numpy buffer that doubles, so that a new row copies nothing as a rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
NAN = float("nan")
_FIRST_SIZE = 64


class Columns:
    """Rows of float64; a value that was not given is NaN. One thread."""

    def __init__(self, *names: str) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        self._data = np.full((len(names), _FIRST_SIZE), NAN)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Numbers:
        """A column, shape (rows,): a view, to be read until the next change and never written."""
        column: Numbers = self._data[self._place[name], : self._count]
        return column

    def append(self, **values: float) -> None:
        self.insert(self._count, **values)

    def insert(self, row: int, **values: float) -> None:
        """A new row before the one that is now number `row`."""
        if self._count == self._data.shape[1]:
            self._data = np.concatenate([self._data, np.full_like(self._data, NAN)], axis=1)
        if row < self._count:
            self._data[:, row + 1 : self._count + 1] = self._data[:, row : self._count]
            self._data[:, row] = NAN
        self._count += 1
        self.set(row, **values)

    def extend(self, **values: Numbers) -> None:
        """New rows at the end, one for each value; all of the same length."""
        count = max(map(len, values.values()))
        while self._count + count > self._data.shape[1]:
            self._data = np.concatenate([self._data, np.full_like(self._data, NAN)], axis=1)
        for name, column in values.items():
            self._data[self._place[name], self._count : self._count + count] = column
        self._count += count

    def keep(self, first_row: int, rows: NDArray[np.bool_]) -> None:
        """Keeps these rows from `first_row` on, shape (rows from there on,); the others are forgotten."""
        kept = self._data[:, first_row : self._count][:, rows]
        self.truncate(first_row)
        self._data[:, first_row : first_row + kept.shape[1]] = kept
        self._count += kept.shape[1]

    def set(self, row: int, **values: float) -> None:
        for name, value in values.items():
            self._data[self._place[name], row] = value

    def add(self, name: str, first_row: int, amount: float) -> None:
        """Adds to one column from a row on."""
        self._data[self._place[name], first_row : self._count] += amount

    def truncate(self, count: int) -> None:
        """Forgets all rows from number `count` on."""
        self._data[:, count : self._count] = NAN
        self._count = min(count, self._count)
