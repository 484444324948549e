# SPDX-License-Identifier: Apache-2.0
"""`--export-round SITE` and `--import-update FILE`: rounds of a site without a connection, carried on a medium."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import disk_fault
from ..files import beside, remove
from ..wording import sentence
from .parser import Parser

if TYPE_CHECKING:
    from ..coordinator.carrying import Answer, Exported, Imported

REFUSED = 1

_SAYS: Final = {
    "invited": "It asks {site} to prove its key, and nothing else yet. There: fedmed-desktop --site --invitation ... "
    "--bundle-in {file} --bundle-out ANSWER; then here --import-update with that answer, and --export-round once more.",
    "waiting": "It says that {site} waits until you have compared six words and said --confirm.",
    "asked": "It asks {site} for its part of round {round}, with the adapter to start from.",
    "to_score": "It asks {site} to score the final adapter, which comes with it.",
    "finished": "It tells {site} that the federation has finished, with the final adapter.",
    "rests": "It tells {site} that round {round} goes on without it.",
    "wait": "There is nothing to be done for {site} just now: round {round} is not open. Export once more when it is.",
}


def export(argv: list[str]) -> int:
    """Writes what a site is to be told now."""
    parser = _parser("--export-round", "Write what a site without a connection is to be told: one signed file.")
    parser.add_argument("site", metavar="SITE", help="its name, or the start of its fingerprint")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the file to write, for example on a USB stick"
    )
    options = parser.parse_args(argv)
    from ..coordinator.alone import carry_out
    from ..coordinator.carrying import exported
    from ..coordinator.errands import Errand
    from ..protocol.bundle import MAX_HEAD_BYTES
    from ..site import operating_user
    from ..storage.bundle_file import check_place

    check_place(options.out, MAX_HEAD_BYTES)

    errand = Errand(kind="export", site=options.site, by=operating_user())
    found = exported(carry_out(options.data_dir, errand, fetch=lambda made: _place(made, options.out)))
    print(_exported(found, options.out), flush=True)
    return 0


def take(argv: list[str]) -> int:
    """Takes a site's answer; returns 1 if anything in it was refused."""
    parser = _parser(
        "--import-update", "Take the answer of a site without a connection, with all checks of a connection."
    )
    parser.epilog = "Exit status: 0 taken, 1 something in it was refused, 2 nothing was taken."
    parser.add_argument("file", type=Path, metavar="FILE", help="what the site wrote with --bundle-out")
    options = parser.parse_args(argv)
    from ..coordinator.alone import carry_out
    from ..coordinator.carrying import imported
    from ..coordinator.errands import Errand
    from ..site import operating_user

    errand = Errand(kind="import", by=operating_user())
    found = imported(carry_out(options.data_dir, errand, given=options.file))
    print("\n".join(_imported(found, options.data_dir)), flush=True)
    return REFUSED if any(answer.outcome == "refused" for answer in found.answers) else 0


def _parser(flag: str, description: str) -> argparse.ArgumentParser:
    parser = Parser(prog=f"fedmed-desktop {flag}", description=description)
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the coordinator's data folder")
    return parser


def _place(made: Path, target: Path) -> None:
    """Copies to the medium, whole or not at all, and not only to the system's memory."""
    partial = beside(target)
    try:
        with made.open("rb") as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 2**20)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        remove(partial)
        raise disk_fault(error, target) from error


def _exported(found: Exported, file: Path) -> str:
    says = _SAYS[found.says].format(site=found.site, round=found.round, file=file.name)
    return f"{file} is written ({found.bytes / 1e6:.1f} MB). {says}"


def _imported(found: Imported, data_dir: Path) -> list[str]:
    if found.waits:
        return [
            f"{found.site} waits for you: compare its six words (--sites --data-dir {data_dir}), say --confirm, and "
            "take this file once more."
        ]
    if not found.answers:
        return [f"{found.site} has joined. Export a round for it once one is open: --export-round."]
    return [_line(found.site, answer) for answer in found.answers]


def _line(site: str, answer: Answer) -> str:
    what = "the final scoring" if answer.final else f"round {answer.round}"
    match answer.outcome:
        case "counted":
            return f"The update of {site} for {what} counts. Its receipt goes with the next export."
        case "declined":
            return f"{site} sends nothing for {what} ({answer.code})."
        case "refused":
            return f"The update of {site} for {what} was refused. {sentence(answer.code, answer.params)}"
