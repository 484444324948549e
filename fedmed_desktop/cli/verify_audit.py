# SPDX-License-Identifier: Apache-2.0
"""`--verify-audit`: is an audit chain whole? Offline, read-only; alone, or against what the other side knows of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserFacingError
from ..files import write_durably
from ..storage.audit_file import AuditFile, Verdict, as_csv, as_json, verify_audit
from ..storage.secrets import NOTE, Role, load_key
from ..wording import printable, told
from .outputs import check_new
from .parser import Parser

BROKEN = 1


def run(argv: list[str]) -> int:
    """Prints the verdict first; returns 0 if the chain is whole, 1 if it is broken."""
    options = _parser().parse_args(argv)
    target: Path | None = options.export
    if target and target.suffix.lower() not in (".csv", ".json"):
        raise UserFacingError("audit.suffix", path=str(target))
    if target:
        check_new(target, "--export")
    verdict = verify_audit(options.path, options.against)
    if verdict.fault:
        print(f"Broken. {told(verdict.fault)}")
    else:
        print("\n".join(printable(line) for line in _whole(verdict, options.against)))
    if target:
        print(_exported(verdict.file, options.path, target))
    return BROKEN if verdict.fault else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --verify-audit",
        description="Check that no entry of an audit chain was changed, lost, inserted or cut off.",
        epilog="Exit status: 0 whole, 1 broken, 2 nothing could be checked.",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="a data folder, an audit.sqlite or an exported .json")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="the other side's (the coordinator's for a site's): each holds heads of the other, so that a chain "
        "whose end was cut off, or that was written anew, is found out",
    )
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the entries to a .csv or .json file")
    return parser


def _exported(file: AuditFile, source: Path, target: Path) -> str:
    if target.suffix.lower() == ".csv":
        write_durably(target, as_csv(file))
        return f"Its entries are in {target}. A table proves nothing; export a .json file for that."
    role: Role = "coordinator" if file.side == "coordinator" else "site"
    key = load_key(source, role)[0] if (source / NOTE).is_file() else None
    write_durably(target, as_json(file, key))
    if key is None:
        return f"Its entries are in {target}, which is not signed: only a data folder has a key."
    return f"Its entries are in {target}, signed with the key {key.fingerprint}."


def _whole(verdict: Verdict, against: Path | None) -> list[str]:
    file = verdict.file
    if not file.rows:
        return ["Whole, but empty: nothing has been recorded yet."]
    count = "one entry" if len(file.rows) == 1 else f"{len(file.rows):,} entries"
    lines = [
        f"Whole: {count} of the {file.side} {file.owner}, {file.rows[0]['time_utc']} to {file.rows[-1]['time_utc']}.",
        f"Head: {file.head}",
    ]
    if file.signed_by:
        lines.append(f"Signed with the key {file.signed_by}.")
    if against is None:
        lines.append("Whether its end was cut off, or all of it written anew, only the other side shows: --against.")
    elif verdict.compared:
        lines.append(f"Compared with {against}: all {verdict.compared:,} heads that one side holds of the other fit.")
    else:
        lines.append(f"{against} holds no head of this chain, nor this of that one, so nothing could be compared.")
    return lines
