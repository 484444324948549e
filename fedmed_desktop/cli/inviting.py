# SPDX-License-Identifier: Apache-2.0
"""`--invite NAME` and `--rotate NAME`: a line, a QR code and a file with which a site joins, and what to do with them.

The line alone goes to stdout, with the QR code where that is a terminal; what to do next goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .durations import duration
from .numbers import host_and_port

if TYPE_CHECKING:
    from ..coordinator.inviting import Issued

WEEK = timedelta(days=7)


def invite(argv: list[str]) -> int:
    """Lets a site join."""
    parser = _parser("--invite", "Let a site join: prints its invitation, also while the coordinator runs.")
    return _issue(parser.parse_args(argv), rotates=False)


def rotate(argv: list[str]) -> int:
    """Lets a site that has joined come with a new key."""
    parser = _parser(
        "--rotate",
        "Let a site that has joined come with a new key, from another computer or after it lost its data folder. Its "
        "name stays, and its old key counts until then.",
    )
    return _issue(parser.parse_args(argv), rotates=True)


def _parser(flag: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"fedmed-desktop {flag}", description=description, allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help='the site\'s name in the federation, such as "Mercy General"')
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the coordinator's data folder")
    parser.add_argument(
        "--valid", type=duration, default=WEEK, metavar="TIME", help="how long it can be used, such as 12h (default 7d)"
    )
    parser.add_argument(
        "--public-address",
        type=host_and_port,
        metavar="HOST:PORT",
        help="where the site finds the coordinator (default: what the coordinator was started with)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where the .fedmed file goes (default: this folder)"
    )
    return parser


def _issue(options: argparse.Namespace, rotates: bool) -> int:
    from ..coordinator.inviting import issue
    from ..site import operating_user
    from .qr import terminal_qr

    issued = issue(
        options.data_dir,
        options.name,
        options.valid,
        datetime.now(UTC),
        operating_user(),
        out=options.out,
        address=options.public_address,
        rotates=rotates,
    )
    line = issued.invitation.line()
    print(line, flush=True)
    if sys.stdout.isatty():
        with contextlib.suppress(UnicodeEncodeError):  # a terminal without blocks; the line says the same
            print(terminal_qr(line), flush=True)
    print("\n".join(_next_steps(issued, options.data_dir)), file=sys.stderr)
    return 0


def _next_steps(issued: Issued, data_dir: Path) -> list[str]:
    site, file = issued.invitation.site, issued.file
    folder = shlex.quote(str(data_dir))
    own = f"fedmed-desktop {{}} {shlex.quote(site)} --data-dir {folder}"
    if issued.confirms:
        last = f"Once both sides have read out the same words, admit the site: {own.format('--confirm')}"
    else:
        last = f"If the words differ, shut it out at once: {own.format('--revoke')}"
    steps = [
        f"Send the line, or the file {file}, to {site} by a way that nobody else reads: whoever has it can join as "
        f"{site}. It works once, until {issued.until:%Y-%m-%d %H:%M} UTC; an earlier one no longer works.",
        "There they open fedmed-desktop, choose Join and paste the line or open the file; on a computer without a "
        "screen, fedmed-desktop --site with --invitation FILE.",
        f"When they have joined, compare six words by phone: fedmed-desktop --sites --data-dir {folder}. {last}",
    ]
    if not issued.has_run:
        steps.insert(0, f"Start the coordinator with --data-dir {folder}: it has not run there yet.")
    return ["", "What to do next:", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]
