# SPDX-License-Identifier: Apache-2.0
"""Settings that the desktop keeps between starts: one JSON file, written whole or not at all. Not QSettings: its ini
files give strings back, so that a stored False is true at the next start.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ...errors import UserFacingError, disk_fault
from ...files import make_folder, write_durably
from ...site.proxy import SYSTEM
from .connections import Connection
from .hosted import Hosted
from .requests import JoinRequest

FILE = "settings.json"

NotificationKind = Literal["decision", "round", "trouble", "finished"]
"""Occasions that the system tells of while the window is not in front: a decision waits, a round was finished,
something needs a person, the federation has finished."""


class Settings(BaseModel):
    """`joined`: the federation that this computer takes part in, gone on with at the next start if `rejoin`.
    `proxy`: "system", "none" or a URL, which may hold a password. `compared`: the six words
    that were the same at the host. `approver`: the name that decisions are recorded under. `cores`: that training may
    use; 0: all but one. `connections`: hosts that this program connected to, the last one first.
    `welcomed`: the first run was gone through or dismissed. `when_closed`: whether the program stays in the tray where
    its window is closed while a federation is joined. `silent`: notifications that are not wanted. `keep_awake`: the
    computer does not fall asleep while it trains. `hosted`: the federation that was founded here; `overseen`: the
    folder of a host of one that is served elsewhere.
    """

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    appearance: Literal["system", "light", "dark", "contrast"] = "system"
    language: Literal["system", "en", "de", "fr", "es"] = "system"
    text_scale: float = Field(1.0, ge=1.0, le=2.0)
    geometry: str = ""
    page: str = "rounds"
    monitor: dict[str, JsonValue] = {}
    joined: JoinRequest | None = None
    rejoin: bool = False
    proxy: str = SYSTEM
    compared: str = ""
    approver: str = Field("", max_length=60)
    cores: int = Field(0, ge=0, le=4096)
    welcomed: bool = False
    hosted: Hosted | None = None
    overseen: Path | None = None
    connections: list[Connection] = []
    when_closed: Literal["ask", "stay", "quit"] = "ask"
    silent: list[NotificationKind] = []
    keep_awake: bool = True


class SettingsFile:
    """The settings in a folder. `load` before anything else; `save` as often as something changes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.values = Settings()

    def load(self) -> UserFacingError | None:
        """Reads them. A value that this version does not understand is forgotten by itself; a file that is none is put
        aside. What is returned says what could not be read.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return disk_fault(error, self.path)
        try:
            found = json.loads(text)
            self.values = _understood(found if isinstance(found, dict) else {})
        except ValueError:
            aside = self.path.with_suffix(".broken")
            self.path.replace(aside)
            return UserFacingError("desktop.settings_broken", path=str(aside))
        return None

    def save(self) -> None:
        """Raises UserFacingError (disk full, no right to write)."""
        make_folder(self.path.parent)
        write_durably(self.path, self.values.model_dump_json(indent=2).encode())


def _understood(found: dict[str, JsonValue]) -> Settings:
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        return Settings.model_validate({key: value for key, value in found.items() if key not in wrong})
