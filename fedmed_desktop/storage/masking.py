# SPDX-License-Identifier: Apache-2.0
"""Secrets of a site's masks, one file per round, readable by its owner only, which no message can reach.

They are on the disk before anything that follows from them leaves: a site that crashed between its upload and the
opening of the sum still answers, and never twice in another way.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ..errors import UserFacingError, disk_fault
from ..federation.secure_aggregation import Secrets
from ..files import make_folder, write_durably

_FILE: Final = re.compile(r"round-(\d{1,9})\.json")


class MaskStore:
    """File work: off the event loop. Raises UserFacingError (damaged, disk full)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, round_number: int) -> Secrets | None:
        """Secrets of this round's latest session; None where there are none."""
        path = self._path(round_number)
        try:
            return Secrets.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise UserFacingError("storage.own_damaged", path=str(path), folder=str(self._folder)) from None
        except OSError as error:
            raise disk_fault(error, path) from error

    def save(self, secrets: Secrets) -> None:
        """Durable on return."""
        make_folder(self._folder)
        write_durably(self._path(secrets.session.round), secrets.model_dump_json().encode())

    def forget_before(self, round_number: int) -> None:
        """Deletes secrets of earlier rounds: their sums are open, or never will be."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                match = _FILE.fullmatch(path.name)
                if match and int(match[1]) < round_number:
                    path.unlink(missing_ok=True)

    def _path(self, round_number: int) -> Path:
        return self._folder / f"round-{round_number}.json"
