# SPDX-License-Identifier: Apache-2.0
"""Coordinator's record of the sums that noise was added to: a row for each, before it is opened or public.

The key of the last one's noise is kept, so that a round that a crash cut off comes out the same and is spent once.
Another sum in the same round, after an old copy was put back, gets other noise and is spent again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.accounting import Steps, epsilon
from ..federation.actions import Combine
from ..federation.client_privacy import noise_of_round
from ..federation.noised import Noise
from .chain import Chain, damaged_row
from .database import Database, Migrations

FILE: Final = "privacy.sqlite"  # in the coordinator's data folder

_RELEASES: Final = Chain("releases", "round, noise, updates")
_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE IF NOT EXISTS releases (seq INTEGER PRIMARY KEY AUTOINCREMENT, round INTEGER NOT NULL, "
        "noise REAL NOT NULL, updates TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS noise_key (key BLOB NOT NULL)",
    ),
)


class ReleasesFile:
    """Rows are only ever added, and chained. `closed`: the rounds that were combined, each of which has a row.

    Raises UserFacingError("client_privacy.ledger_lost") where one has none, and for a file that is damaged.
    """

    def __init__(self, path: Path, closed: int) -> None:
        self._path = path
        self._database = Database(path, _MIGRATIONS, shared=True)  # a backup may read it meanwhile
        try:
            found = len({number for number, *_ in self._rows() if number <= closed})
            if found < closed:
                raise UserFacingError("client_privacy.ledger_lost", path=str(path), found=found, least=closed)
        except BaseException:
            self._database.close()
            raise

    def spent(self) -> Sequence[Steps]:
        return [Steps(1.0, noise) for _, noise, _ in self._rows()]

    def noise(self, due: Combine, spec: FederationSpec) -> Noise:
        """The noise of this combination, durably written down. Raises UserFacingError("client_privacy.no_room")."""
        settings, updates = spec.client_privacy, _digest(due)
        assert settings is not None
        rows, keys = self._rows(), self._database.rows("SELECT key FROM noise_key")
        if rows and keys and (rows[-1][0], rows[-1][2]) == (due.round, updates):
            multiplier, key = rows[-1][1], bytes(keys[0][0])
        else:
            multiplier, key = noise_of_round(spec, due.round, self.spent()), secrets.token_bytes(32)
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM noise_key")  # whoever had it could take the noise off again
                connection.execute("INSERT INTO noise_key VALUES (?)", (key,))
                _RELEASES.append(connection, due.round, multiplier, updates)
        return Noise(multiplier, key, epsilon(self.spent(), settings.delta))

    def _rows(self) -> list[tuple[int, float, str]]:
        found = []
        for seq, number, noise, updates, _ in _RELEASES.rows(self._database):
            if not noise > 0:
                raise damaged_row(self._path, "releases", seq, "says what no noise can be")
            found.append((number, noise, updates))
        return found

    def close(self) -> None:
        self._database.close()


def _digest(due: Combine) -> str:
    """Hash of what the sum is made of."""
    updates = {site: one.sha256 for site, one in sorted(due.updates.items())}
    return hashlib.sha256(json.dumps([due.start, updates]).encode()).hexdigest()


def noise_from(data_dir: Path, spec: FederationSpec, closed: int) -> Callable[[Combine], Noise] | None:
    """Source of the noise for a coordinator's combinations; None where whole sites are not protected.

    `closed`: rounds so far. Raises UserFacingError where the record is lost or damaged, or nobody can count.
    """
    if spec.client_privacy is None:
        return None
    path = data_dir / FILE
    ReleasesFile(path, closed).close()
    noise_of_round(spec, 1, ())  # whether anybody can count is known now, not once the first round has closed

    def noise(due: Combine) -> Noise:
        with closing(ReleasesFile(path, due.round - 1)) as file:
            return file.noise(due, spec)

    return noise
