# SPDX-License-Identifier: Apache-2.0
"""Check of a coordinator's data folder or backup, offline and without changing a byte of it.

All inputs are replayed from the first one; each dump must say what the replay says; each counted update must be signed
by its site for the plan that was in force, and each act of a host by that host; and each blob that the ledger names
must be there and whole.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from ..errors import UserFacingError, disk_fault
from ..federation import FederationSpec, Rounds
from ..federation.inputs import INPUT, Decided, UpdateArrived
from ..federation.record import RoundsState
from ..protocol.hosting import is_proved
from ..protocol.messages import OfferUpdate
from ..protocol.signing import Bond
from ..storage import Ledger
from ..storage.chain import damaged_row
from ..storage.database import copy_database
from ..storage.ledger import FILE, stored_spec
from ..storage.reading import moment, parsed
from ..storage.registry import REGISTRY_FILE, Registry
from ..storage.secrets import public_key

_STATE: Final = TypeAdapter(RoundsState)
_MOST_FAULTS: Final = 100


@dataclass
class LedgerVerdict:
    """Outcome of a check. `faults`: what is wrong, the first one first; with none the ledger is whole.

    `signed` and `unsigned` count updates; those of versions in which sites had no keys have no signature. `gone` counts
    blobs that the rules of the coordinator have deleted.
    """

    federation: str = ""
    inputs: int = 0
    rounds: int = 0
    signed: int = 0
    unsigned: int = 0
    blobs: int = 0
    gone: int = 0
    faults: list[UserFacingError] = field(default_factory=list)


def verify_ledger(path: Path) -> LedgerVerdict:
    """Checks a data folder, a backup's folder, or the ledger file in one.

    Raises UserFacingError where there is nothing to check, or a coordinator runs with it.
    """
    folder = path.parent if path.is_file() and path.name == FILE else path
    if not (folder / FILE).is_file():
        code = "backup.packed" if path.is_file() and tarfile.is_tarfile(path) else "registry.no_coordinator"
        raise UserFacingError(code, path=str(path))
    verdict = LedgerVerdict()
    with tempfile.TemporaryDirectory(prefix="fedmed-") as name:
        copy = Path(name)
        try:
            for file in (FILE, REGISTRY_FILE):
                if (folder / file).is_file():
                    copy_database(folder / file, copy / file)
            if (copy / REGISTRY_FILE).exists():
                Registry(copy / REGISTRY_FILE).close()
            spec = stored_spec(copy / FILE)
            with closing(Ledger(copy / FILE, spec)) as ledger:
                _check(verdict, ledger, spec, folder)
        except UserFacingError as error:
            if error.code == "storage.in_use":
                raise UserFacingError("backup.running", path=str(folder)) from error
            verdict.faults.append(_of_folder(error, copy, folder))
        except sqlite3.DatabaseError as error:
            fault = UserFacingError("storage.damaged", path=str(folder / FILE), folder=str(folder), reason=str(error))
            verdict.faults.append(fault)
    return verdict


def _of_folder(error: UserFacingError, copy: Path, folder: Path) -> UserFacingError:
    """The error with the paths of the folder that was asked about, not of the copy that was read."""
    params = {
        name: value.replace(str(copy), str(folder)) if isinstance(value, str) else value
        for name, value in error.params.items()
    }
    return UserFacingError(error.code, retryable=error.retryable, **params)


def _check(verdict: LedgerVerdict, ledger: Ledger, spec: FederationSpec, folder: Path) -> None:
    verdict.federation = spec.name
    file, own, known = folder / FILE, public_key(folder), len(verdict.faults)
    rounds, dumps = Rounds(spec), ledger.dumps()
    for seq, time, body in ledger.entries():
        given = parsed(INPUT, body, file, "inputs", seq, lambda fault: None)
        wrong = _wrong_with(verdict, given, rounds, ledger.federation, own) if isinstance(given, UpdateArrived) else ""
        if isinstance(given, Decided) and not is_proved(ledger.federation, given):
            wrong = "holds an act that its host did not sign"
        rounds.handle(given, moment(time, file, "inputs", seq))
        if isinstance(given, UpdateArrived) and rounds.receipt_for(given.site, given.update.round) is None:
            wrong = "holds an update that could not count"
        if wrong:
            verdict.faults.append(damaged_row(file, "inputs", seq, wrong))
        if seq in dumps and parsed(_STATE, dumps.pop(seq), file, "dumps", seq, lambda fault: None) != rounds.state:
            verdict.faults.append(damaged_row(file, "dumps", seq, "does not say what the inputs add up to"))
        verdict.inputs += 1
    if dumps:
        verdict.faults.append(damaged_row(file, "dumps", min(dumps), "belongs to no input"))
    state = rounds.state
    verdict.rounds = state.closed
    kept = state.published() | {spec.base.initial} | state.parts(max(0, verdict.rounds - ledger.pruned_to()))
    _check_blobs(verdict, folder / "blobs", kept)
    verdict.gone = sum(not (folder / "blobs" / sha256).exists() for sha256 in state.parts() - kept)
    del verdict.faults[known + _MOST_FAULTS :]


def _wrong_with(verdict: LedgerVerdict, given: UpdateArrived, rounds: Rounds, federation: str, own: str | None) -> str:
    """Fault of the proof of an update that is about to count; "" for none."""
    proof, plan = given.proof, rounds.state.plans.get(given.site)
    if proof is None:
        verdict.unsigned += 1
        return ""
    told = proof.model_dump(include={"plan", "attempt", "approval", "audit", "signature"})
    try:
        Bond(federation, proof.key, proof.coordinator).check(OfferUpdate(update=given.update, **told))
    except UserFacingError:
        return f"holds an update of {given.site} that the site did not sign"
    if own is not None and proof.coordinator != own:
        return f"holds an update of {given.site} that was signed for another coordinator"
    if plan is None or proof.plan != plan.sha256:
        return f"holds an update of {given.site} that was signed for another plan"
    verdict.signed += 1
    return ""


def _check_blobs(verdict: LedgerVerdict, folder: Path, named: Collection[str]) -> None:
    for sha256 in sorted(named):
        try:
            with (folder / sha256).open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            verdict.faults.append(UserFacingError("storage.no_blob", sha256=sha256))
            continue
        except OSError as error:
            raise disk_fault(error, folder / sha256) from error
        if not whole:
            verdict.faults.append(UserFacingError("lora.file_damaged", sha256=sha256))
        verdict.blobs += 1
