# SPDX-License-Identifier: Apache-2.0
"""A site's own record of what it has spent of its privacy budget: a row for each step, written before the step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..federation.accounting import Steps
from .chain import Chain, damaged_row
from .database import Database, Migrations

FILE: Final = "privacy.sqlite"

_SPENDING: Final = Chain("spending", "round, rate, noise")
_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE IF NOT EXISTS spending (seq INTEGER PRIMARY KEY AUTOINCREMENT, round INTEGER NOT NULL, "
        "rate REAL NOT NULL, noise REAL NOT NULL, hash TEXT NOT NULL)",
    ),
)


class SpendingFile:
    """Implements federation.accounting.SpendingLedger. Rows are only ever added, and chained.

    `least`: steps that this site's updates say were taken; fewer rows mean that the file was lost or is an old copy.
    Raises UserFacingError("privacy.ledger_lost") then, and for a file that is damaged or in use.
    """

    def __init__(self, path: Path, least: int = 0) -> None:
        self._path = path
        self._database = Database(path, _MIGRATIONS)
        try:
            if (found := len(self.spent())) < least:
                raise UserFacingError("privacy.ledger_lost", path=str(path), found=found, least=least)
        except BaseException:
            self._database.close()
            raise

    def spent(self) -> Sequence[Steps]:
        found = []
        for seq, _, rate, noise, _ in _SPENDING.rows(self._database):
            if not (0 < rate <= 1 and noise > 0):
                raise damaged_row(self._path, "spending", seq, "says what no step can spend")
            found.append(Steps(rate, noise))
        return found

    def write(self, round_number: int, step: Steps) -> None:
        with self._database.transaction() as connection:
            _SPENDING.append(connection, round_number, step.rate, step.noise)

    def close(self) -> None:
        self._database.close()
