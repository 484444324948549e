# SPDX-License-Identifier: Apache-2.0
"""The command line: a mode flag picks one module of this package; without a mode the desktop opens.

Nothing heavy is imported before the mode is known: a coordinator never loads torch, and help is quick.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from ..errors import UserFacingError
from ..wording import told
from . import desktop
from .desktop import USER_ERROR

MODES: Final[dict[str, tuple[str, str]]] = {
    # flag -> (one line of help, "module:function"); the function takes the other arguments and returns the exit status
    "--coordinator": ("host a federation; needs no screen and no GPU", "fedmed_desktop.cli.coordinator:run"),
    "--site": (
        "take part without a screen; asks in the terminal before anything leaves",
        "fedmed_desktop.cli.site:run",
    ),
    "--check": ("look whether this computer can take part, before it joins", "fedmed_desktop.cli.check:run"),
    "--check-notes": (
        "look through notes before they are used: what can be used, what not, and why",
        "fedmed_desktop.cli.check_notes:run",
    ),
    "--demo": ("a coordinator and three sites on this machine, with bundled notes", "fedmed_desktop.cli.demo:run"),
    "--lab": ("compare methods on the same notes: tables and plots", "fedmed_desktop.cli.lab:run"),
    "--evaluate": ("score an adapter on any notes, with intervals", "fedmed_desktop.cli.evaluate:run"),
    "--fit": ("fit a federation's adapter to this site's own notes; sends nothing", "fedmed_desktop.cli.fit:run"),
    "--new-federation": ("write a federation's spec and first adapter", "fedmed_desktop.cli.new_federation:run"),
    "--verify-audit": (
        "check that an audit chain is whole, or name its first broken entry",
        "fedmed_desktop.cli.verify_audit:run",
    ),
    "--verify-ledger": (
        "check that a coordinator's ledger is whole, and what is proved by it",
        "fedmed_desktop.cli.verify_ledger:run",
    ),
    "--check-policy": (
        "say what this site's policy lets leave, and which file says so",
        "fedmed_desktop.cli.check_policy:run",
    ),
    "--invite": ("let a site join: one line for it, a QR code and a file", "fedmed_desktop.cli.inviting:invite"),
    "--invite-host": (
        "let a person host from a desktop: see all sites, and decide",
        "fedmed_desktop.cli.inviting:invite_host",
    ),
    "--rotate": ("let a site that has joined come with a new key", "fedmed_desktop.cli.inviting:rotate"),
    "--sites": ("list the sites and hosts of a federation, with six words to compare", "fedmed_desktop.cli.sites:show"),
    "--confirm": ("admit a site that waits, once its six words are yours", "fedmed_desktop.cli.sites:confirm"),
    "--revoke": ("shut a site out, or take its invitation back", "fedmed_desktop.cli.sites:revoke"),
    "--backup": ("copy a coordinator's data folder, also while it runs", "fedmed_desktop.cli.backup:run"),
    "--export-round": (
        "write a round to a file, for a site without a connection",
        "fedmed_desktop.cli.carrying:export",
    ),
    "--import-update": ("take the answer of such a site from a file", "fedmed_desktop.cli.carrying:take"),
}
# What follows a flag; it is the first of the arguments that the mode's function takes.
VALUES: Final[dict[str, str]] = {
    **dict.fromkeys(("--invite", "--invite-host", "--rotate", "--confirm", "--revoke"), "NAME"),
    "--check-notes": "PATH",
    "--backup": "FILE_OR_DIR",
    "--export-round": "SITE",
    "--import-update": "FILE",
}
OPTIONS_ELSEWHERE: Final = frozenset({"--sites"})  # of other modes, with another meaning

EXAMPLES: Final = """\
examples:
  fedmed-desktop                        open the desktop
  fedmed-desktop --demo                 see one federation work, in a few minutes
  fedmed-desktop --try MODEL ADAPTER    try a model, with and without an adapter
  fedmed-desktop --coordinator --help   the options of one mode
"""

INTERRUPTED: Final = 130
UNREAD: Final = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one mode, or the desktop, and returns its exit status: 2 for a user's mistake, 130 after Ctrl-C.

    1 where nobody takes the output any more, as after `| head`. argparse leaves by SystemExit. New files are private
    (umask).
    """
    os.umask(0o077)
    _take_any_character()
    arguments = list(sys.argv[1:] if argv is None else argv)
    flag = _mode_of(arguments)
    try:
        if flag is None:
            return _without_mode(arguments)
        arguments.remove(flag)
        module, _, function = MODES[flag][1].partition(":")
        status = int(getattr(importlib.import_module(module), function)(arguments))
        if sys.stdout is not None:  # as where it was closed before the start
            sys.stdout.flush()  # here, where it can be said, not when the interpreter ends
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush has somewhere to go
        return UNREAD
    except (UserFacingError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:  # of no file that the user named
            raise
        print(f"fedmed-desktop: {told(error)}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("fedmed-desktop: stopped", file=sys.stderr)
        return INTERRUPTED


def _take_any_character() -> None:
    """Lets no character of a name or a reason end the program, where a terminal or a pipe has another encoding."""
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=errors)


def _mode_of(arguments: Sequence[str]) -> str | None:
    found = [argument for argument in arguments if argument in MODES]
    return next((flag for flag in found if flag not in OPTIONS_ELSEWHERE), found[0] if found else None)


def main_gui() -> int:
    """The GUI script: the desktop, started without a terminal."""
    os.umask(0o077)
    return desktop.run_without_terminal(sys.argv[1:])


def _without_mode(arguments: list[str]) -> int:
    parser = desktop.make_parser("fedmed-desktop")
    parser.epilog = EXAMPLES
    modes = parser.add_argument_group(
        "modes", "one of these comes first; its own options follow"
    ).add_mutually_exclusive_group()
    for flag, (summary, _) in MODES.items():
        if flag in VALUES:
            modes.add_argument(flag, metavar=VALUES[flag], help=summary)
        else:
            modes.add_argument(flag, action="store_true", help=summary)
    return desktop.run(desktop.parse(parser, arguments))
