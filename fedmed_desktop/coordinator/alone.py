# SPDX-License-Identifier: Apache-2.0
"""Errands on a data folder, whether a coordinator runs with it just now or not."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..files import make_folder, remove
from ..identity import fingerprint
from ..storage import Ledger
from ..storage.audit import FILE as AUDIT_FILE
from ..storage.audit import Audit
from ..storage.backup import back_up, deliver
from ..storage.ledger import FILE, stored_spec
from ..storage.secrets import public_key
from .errands import FOLDER, Errand, Errands, backup_made, hand_over
from .host import Host
from .inviting import open_registry

Fetch = Callable[[Path], None]


def carry_out(data_dir: Path, errand: Errand, given: Path | None = None, fetch: Fetch = lambda made: None) -> Any:
    """Does an errand here, or has the running coordinator do it. `given`: the file that belongs to it; `fetch` takes
    the file or folder that is made, before it is removed. Returns what is to be told. Raises UserFacingError.
    """
    try:
        spec = stored_spec(data_dir / FILE)
    except UserFacingError as error:
        if error.code != "storage.in_use":
            raise
        return hand_over(data_dir, errand, given, fetch)
    made = make_folder(data_dir / FOLDER) / f"{secrets.token_hex(8)}.out"
    try:
        if errand.kind == "backup":
            _back_up(data_dir, spec, made, errand.by)
            result: Any = {}
        else:
            result = asyncio.run(_hosted(data_dir, spec, errand, given or made, made))
        if made.exists():
            fetch(made)
        return result
    finally:
        remove(made)


def back_up_to(data_dir: Path, target: Path, by: str) -> int:
    """Writes a backup to a new folder or a `.tar` file; returns its bytes. Raises UserFacingError."""
    sizes = list[int]()
    carry_out(data_dir, Errand(kind="backup", by=by), fetch=lambda made: sizes.append(deliver(made, target)))
    return sum(sizes)


async def _hosted(data_dir: Path, spec: FederationSpec, errand: Errand, given: Path, made: Path) -> Any:
    """Carries out an errand as a coordinator that serves nobody."""
    with closing(open_registry(data_dir)) as registry:
        confirms = bool(registry.recall("confirm"))
    host = Host(spec, data_dir, lambda event: None, confirm_sites=confirms)
    try:
        await host.start()
        return await Errands(host, data_dir, lambda event: None).carry_out(errand, given, made)
    finally:
        await host.stop()


def _back_up(data_dir: Path, spec: FederationSpec, made: Path, by: str) -> None:
    with closing(Ledger(data_dir / FILE, spec)) as ledger:
        state = ledger.load_rounds(spec).state
        back_up(data_dir, ledger, state.published() | state.parts() | {spec.base.initial}, made)
    key = public_key(data_dir)
    with closing(Audit(data_dir / AUDIT_FILE, "coordinator", spec.name, fingerprint(key) if key else "")) as audit:
        audit.note(backup_made(by), now=datetime.now(UTC))
