# SPDX-License-Identifier: Apache-2.0
"""`--invite NAME`, `--invite-host NAME` and `--rotate NAME`: a line, a QR code and a file with which a site joins, or a
person hosts from a desktop, and what to do with them.

The line alone goes to stdout, with the QR code where that is a terminal; what to do next goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .durations import duration
from .numbers import host_and_port
from .parser import Parser

if TYPE_CHECKING:
    from ..coordinator.inviting import Issued

WEEK = timedelta(days=7)


def invite(argv: list[str]) -> int:
    """Lets a site join."""
    parser = _parser("--invite", "Let a site join: prints its invitation, also while the coordinator runs.")
    return _issue(parser.parse_args(argv))


def invite_host(argv: list[str]) -> int:
    """Lets a person host from a desktop."""
    parser = _parser(
        "--invite-host",
        "Let a person host this federation from a desktop: see every site by name with its numbers, invite, confirm "
        "and remove sites, pause, close a round, publish the adapter. Only this command makes hosts; --revoke removes "
        "them.",
        "the person's name, in the audit record of all that is done with it",
    )
    return _issue(parser.parse_args(argv), role="host")


def rotate(argv: list[str]) -> int:
    """Lets a site that has joined come with a new key."""
    parser = _parser(
        "--rotate",
        "Let a site that has joined come with a new key, from another computer or after it lost its data folder. Its "
        "name stays, and its old key counts until then.",
    )
    return _issue(parser.parse_args(argv), rotates=True)


def _parser(
    flag: str, description: str, name: str = 'the site\'s name in the federation, such as "Mercy General"'
) -> argparse.ArgumentParser:
    parser = Parser(prog=f"fedmed-desktop {flag}", description=description)
    parser.add_argument("name", metavar="NAME", help=name)
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


def _issue(options: argparse.Namespace, rotates: bool = False, role: Literal["site", "host"] = "site") -> int:
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
        role=role,
    )
    line = issued.invitation.line()
    print(line, flush=True)
    if sys.stdout.isatty():
        with contextlib.suppress(UnicodeEncodeError):  # a terminal without blocks; the line says the same
            drawn = terminal_qr(line)
            drawn.encode(sys.stdout.encoding)
            print(drawn, flush=True)
    steps = _steps_of_host if issued.invitation.role == "host" else _steps_of_site
    print("\n".join(_numbered(issued, options.data_dir, steps(issued, options.data_dir))), file=sys.stderr)
    return 0


def _steps_of_host(issued: Issued, data_dir: Path) -> list[str]:
    name, folder = issued.invitation.site, shlex.quote(str(data_dir))
    own = f"fedmed-desktop {{}} {shlex.quote(name)} --data-dir {folder}"
    steps = [
        f"Send the line, or the file {issued.file}, to {name} by a way that nobody else reads: whoever has it can host "
        f"this federation. It works once, until {issued.until:%Y-%m-%d %H:%M} UTC; an earlier one no longer works.",
        "There the person opens fedmed-desktop, chooses Join and pastes the line or opens the file.",
        f"Then compare six words by phone: fedmed-desktop --sites --data-dir {folder}. If they differ, shut the host "
        f"out at once: {own.format('--revoke')}",
    ]
    if issued.confirms:
        steps[-1] += f". Once both have read out the same words: {own.format('--confirm')}"
    return steps


def _steps_of_site(issued: Issued, data_dir: Path) -> list[str]:
    site, file = issued.invitation.site, issued.file
    folder = shlex.quote(str(data_dir))
    own = f"fedmed-desktop {{}} {shlex.quote(site)} --data-dir {folder}"
    if issued.confirms:
        last = f"Once both sides have read out the same words, admit the site: {own.format('--confirm')}"
    else:
        last = f"If the words differ, shut it out at once: {own.format('--revoke')}"
    return [
        f"Send the line, or the file {file}, to {site} by a way that nobody else reads: whoever has it can join under "
        f"that name. It works once, until {issued.until:%Y-%m-%d %H:%M} UTC; an earlier one no longer works.",
        "There they open fedmed-desktop, choose Join and paste the line or open the file; on a computer without a "
        "screen, fedmed-desktop --site with --invitation FILE.",
        f"When they have joined, compare six words by phone: fedmed-desktop --sites --data-dir {folder}. {last}",
    ]


def _numbered(issued: Issued, data_dir: Path, steps: list[str]) -> list[str]:
    folder = shlex.quote(str(data_dir))
    if not issued.has_run:
        steps.insert(0, f"Start the coordinator with --data-dir {folder}: it has not run there yet.")
    return ["", "What to do next:", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]
