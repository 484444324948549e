# SPDX-License-Identifier: Apache-2.0
"""What the desktop remembers between starts: one JSON file, written whole or not at all.

Not QSettings: its ini files give strings back, so that a stored False is true at the next start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ..errors import UserFacingError
from ..files import make_folder, write_durably
from .view.joining import JoinRequest

FILE = "settings.json"


class Settings(BaseModel):
    """`joined`: the federation that this computer takes part in, gone on with at the next start if `rejoin`."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    appearance: Literal["system", "light", "dark", "contrast"] = "system"
    text_scale: float = Field(1.0, ge=1.0, le=2.0)
    geometry: str = ""
    page: str = "rounds"
    monitor: dict[str, JsonValue] = {}
    joined: JoinRequest | None = None
    rejoin: bool = False


class SettingsFile:
    """The settings in a folder. `load` before anything else; `save` as often as something changes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.values = Settings()

    def load(self) -> UserFacingError | None:
        """Reads them; a file that cannot be read is put aside, and what is returned says so."""
        try:
            self.values = Settings.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            aside = self.path.with_suffix(".broken")
            try:
                self.path.replace(aside)
            except OSError:
                pass
            return UserFacingError("desktop.settings_broken", path=str(aside))
        return None

    def save(self) -> None:
        """Raises UserFacingError (disk full, no right to write)."""
        make_folder(self.path.parent)
        write_durably(self.path, self.values.model_dump_json(indent=2).encode())
