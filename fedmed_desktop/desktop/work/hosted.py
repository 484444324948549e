# SPDX-License-Identifier: Apache-2.0
"""A federation that this computer hosts, as it is remembered between starts. No Qt, no file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ...protocol.invitation import Invitation

LOOPBACK: Final = "127.0.0.1"
KEEP_UPDATES: Final = 5  # as the command --coordinator does unless it is told otherwise


class Inside(NamedTuple):
    """A base model as training.inside finds it: layers of the loaded model, way of prompts, identity of a template."""

    modules: dict[str, tuple[int, int]] | None
    prompt: str
    chat_template: str | None = None


def host_folder(root: Path, invitation: Invitation) -> Path:
    """Folder by coordinator and name, so that the same host goes on where it was left."""
    own = hashlib.sha256("\n".join((invitation.fingerprint, invitation.site)).encode()).hexdigest()
    return root / own[:24]


class Hosted(BaseModel):
    """A federation that was founded here. `public`: HOST:PORT, by which sites find it. `network`: other computers can
    reach it. `confirm`: a new site waits for six words. `certificate` and `key`: of an authority; None where the
    coordinator makes its own. `keep`: closed rounds whose updates stay, None: all. `pid` and `began` (seconds since
    1970) of the coordinator's process, which may have ended since; 0 where none was started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    environment: Literal["test", "production"]
    folder: Path
    port: int = Field(ge=1, le=65_535)
    public: str
    network: bool
    confirm: bool = True
    certificate: Path | None = None
    key: Path | None = None
    keep: int | None = Field(KEEP_UPDATES, ge=0)
    pid: int = 0
    began: float = 0.0

    @property
    def url(self) -> str:
        return f"wss://{self.public}"

    @property
    def listens_on(self) -> str:
        return "0.0.0.0" if self.network else LOOPBACK

    @property
    def own_url(self) -> str:
        """Address by which this computer itself reaches it, whatever leads others here."""
        return f"wss://{LOOPBACK}:{self.port}"

    @property
    def host_dir(self) -> Path:
        """Folder of the person who founded it, as its host."""
        return self.folder / "host"

    @property
    def data_dir(self) -> Path:
        """Folder of the coordinator's ledger, adapters and keys."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """File of what the coordinator has said since it was started last."""
        return self.folder / "coordinator.log"

    @property
    def error_file(self) -> Path:
        """File of the error with which the coordinator ended by itself, if it did."""
        return self.folder / "coordinator-error.json"
