# SPDX-License-Identifier: Apache-2.0
"""Errands of commands beside a running coordinator, which alone may touch the ledger: backups, and bundles by hand.

A command leaves its errand in a folder inside the data folder, so who may do that is who owns it. The coordinator reads
and writes only there: it may be another user, who sees no other part of the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from .. import events
from ..errors import UserFacingError, disk_fault
from ..files import make_folder, remove, write_durably
from ..storage.audit_row import AuditEntry
from .host import Host

if TYPE_CHECKING:
    from .carrying import Carrying

_LOG = logging.getLogger(__name__)

FOLDER: Final = "errands"
_LOOK_SECONDS: Final = 0.25
# A coordinator takes an errand at its next look, and shows once a second that it is at it. Slow disks take a while.
_TAKEN_SECONDS: Final = 15.0
_SIGN_SECONDS: Final = 60.0


class Errand(BaseModel):
    """Task for the coordinator. `by`: the account of the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["backup", "export", "import"]
    site: str = ""
    by: str


class _Done(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    result: dict[str, Any] = {}
    code: str = ""
    params: dict[str, str | int | float] = {}
    retryable: bool = False


class Errands:
    """Carries out errands for one host, on its event loop."""

    def __init__(self, host: Host, data_dir: Path, emit: Callable[[events.Event], None]) -> None:
        self._host = host
        self._data_dir = data_dir
        self._folder = data_dir / FOLDER
        self._emit = emit

    @cached_property
    def _carrying(self) -> Carrying:
        from .carrying import Carrying  # where there is a bundle, which most coordinators never see

        return Carrying(self._host, self._data_dir, self._emit)

    async def watch(self) -> None:
        """Looks for errands, and does one after the other. Never returns."""
        await asyncio.to_thread(tidy, self._folder)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for order in sorted(self._folder.glob("*.json")):
                try:
                    await self._take(order)
                except (OSError, UserFacingError) as error:
                    _LOG.warning("an errand cannot be answered: %s", error)

    async def carry_out(self, errand: Errand, given: Path, made: Path) -> dict[str, Any]:
        """Does one; `given`: the file that came with it, `made`: the file or folder that is to be made."""
        match errand.kind:
            case "backup":
                from ..storage.backup import back_up

                async with self._host.still() as ledger:
                    blobs = self._host.published() | self._host.rounds.state.parts()
                    await asyncio.to_thread(back_up, self._data_dir, ledger, blobs, made)
                self._host.trail.tell(backup_made(errand.by))
                return {}
            case "export":
                return asdict(await self._carrying.export(errand.site, made, errand.by))
            case "import":
                found = await self._carrying.take(given, errand.by)
                return asdict(found) | {"answers": [answer.model_dump() for answer in found.answers]}

    async def _take(self, order: Path) -> None:
        taken = order.with_suffix(".taken")
        await asyncio.to_thread(order.rename, taken)
        signs = asyncio.create_task(_give_signs(taken))
        try:
            errand = Errand.model_validate_json(taken.read_bytes())
            done = _Done(result=await self.carry_out(errand, order.with_suffix(".in"), order.with_suffix(".out")))
        except UserFacingError as error:
            done = _Done(code=error.code, params=dict(error.params), retryable=error.retryable)
        except Exception as error:  # the federation goes on, and so do other errands
            _LOG.exception("an errand failed")
            done = _Done(code="errand.failed", params={"reason": f"{type(error).__name__}: {error}"})
        finally:
            signs.cancel()
        await asyncio.to_thread(write_durably, order.with_suffix(".done"), done.model_dump_json().encode())


def tidy(folder: Path) -> None:
    """Removes what an earlier run left behind, but not an errand that waits."""
    make_folder(folder)
    for path in folder.iterdir():
        # One that is just being handed over gets its last name meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if not path.with_suffix(".json").exists() and time.time() - path.stat().st_mtime > _SIGN_SECONDS:
                remove(path)


async def _give_signs(taken: Path) -> None:
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(OSError):
            os.utime(taken)


def hand_over(data_dir: Path, errand: Errand, given: Path | None, fetch: Callable[[Path], None]) -> Any:
    """Hands an errand to the running coordinator, and waits; `fetch` takes what was made before it is removed.

    Raises UserFacingError: what went wrong there, or nobody does it.
    """
    if given and not given.is_file():
        raise UserFacingError("bundle.missing", path=str(given))
    folder = make_folder(data_dir / FOLDER)
    order = folder / f"{secrets.token_hex(8)}.json"
    try:
        if given:
            shutil.copyfile(given, order.with_suffix(".in"))
            _give_to_owner(order.with_suffix(".in"), data_dir)
        partial = order.with_suffix(".new")
        write_durably(partial, errand.model_dump_json().encode())
        _give_to_owner(partial, data_dir)
        partial.rename(order)
        done = _Done.model_validate_json(_waited_for(order).read_bytes())
        if done.code:
            copied = str(order.with_suffix(".in"))
            params = {name: str(given) if value == copied else value for name, value in done.params.items()}
            raise UserFacingError(done.code, retryable=done.retryable, **params)
        fetch(order.with_suffix(".out"))
        return done.result
    except OSError as error:
        raise disk_fault(error, folder) from error
    finally:
        for path in folder.glob(f"{order.stem}.*"):
            remove(path)


def _waited_for(order: Path) -> Path:
    """The answer, once it is there."""
    done, taken = order.with_suffix(".done"), order.with_suffix(".taken")
    began = time.monotonic()
    while not done.exists():
        if not taken.exists():
            if time.monotonic() - began > _TAKEN_SECONDS and not done.exists():
                raise UserFacingError("errand.not_taken", path=str(order.parent.parent))
        elif time.time() - taken.stat().st_mtime > _SIGN_SECONDS:
            raise UserFacingError("errand.ended", path=str(order.parent.parent))
        time.sleep(0.1)
    return done


def _give_to_owner(path: Path, data_dir: Path) -> None:
    """A file that root makes for a coordinator of another account."""
    if os.name != "nt" and os.geteuid() == 0:
        owner = data_dir.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def backup_made(by: str) -> AuditEntry:
    return AuditEntry(action_code="backup_made", role="host", actor_name=by, object_type="file")
