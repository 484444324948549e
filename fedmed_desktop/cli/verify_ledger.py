# SPDX-License-Identifier: Apache-2.0
"""`--verify-ledger PATH`: is a coordinator's ledger whole, and is all that counted signed? Offline, read-only."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..wording import told
from ..wording.lines import counted
from .parser import Parser

if TYPE_CHECKING:
    from ..coordinator.verifying import LedgerVerdict

BROKEN = 1


def run(argv: list[str]) -> int:
    """Prints the verdict first; returns 0 if the ledger is whole, 1 if it is broken."""
    options = _parser().parse_args(argv)
    from ..coordinator.verifying import verify_ledger

    verdict = verify_ledger(options.path)
    print("\n".join(_broken(verdict) if verdict.faults else _whole(verdict)))
    return BROKEN if verdict.faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --verify-ledger",
        description="Check a coordinator's data folder or a backup of it: its chains, what they add up to, the sites' "
        "signatures of all that counted, and the adapters that it names.",
        epilog="Exit status: 0 whole, 1 broken, 2 nothing could be checked. The audit chain beside it: --verify-audit.",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the folder; its coordinator must not be running")
    return parser


def _whole(verdict: LedgerVerdict) -> Iterator[str]:
    yield f"Whole: {verdict.inputs:,} entries of {verdict.federation}, {counted(verdict.rounds, 'closed round')}."
    yield f"Signed by their sites: {counted(verdict.signed, 'update')}."
    if verdict.unsigned:
        yield f"Not signed: {verdict.unsigned:,} updates of a version in which sites had no keys."
    yield f"Adapters there and whole: {verdict.blobs:,}."
    if verdict.gone:
        yield f"Deleted by rule after their rounds: {verdict.gone:,} files of updates."


def _broken(verdict: LedgerVerdict) -> Iterator[str]:
    first, *more = verdict.faults
    yield f"Broken. {told(first)}"
    yield from (f"Also: {told(fault)}" for fault in more)
