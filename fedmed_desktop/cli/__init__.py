# SPDX-License-Identifier: Apache-2.0
"""The command line: a mode flag picks one module of this package, which has its own options and its own imports.

Nothing heavy is imported before the mode is known, so that a coordinator never loads torch and help is quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

from fedmed_desktop import __version__
from fedmed_desktop.errors import UserFacingError

MODES: Final[dict[str, tuple[str, str]]] = {
    # flag -> (one line of help, "module:function"); the function takes the other arguments and returns the exit status
    "--coordinator": ("host a federation; needs no screen and no GPU", "fedmed_desktop.cli.coordinator:run"),
    "--site": (
        "take part without a screen; asks in the terminal before anything leaves",
        "fedmed_desktop.cli.site:run",
    ),
    "--demo": ("a coordinator and three sites on this machine, with bundled notes", "fedmed_desktop.cli.demo:run"),
    "--new-federation": ("write a federation's spec and first adapter", "fedmed_desktop.cli.new_federation:run"),
}

EXAMPLES: Final = """\
examples:
  fedmed-desktop --demo                 see one federation work, in a few minutes
  fedmed-desktop --coordinator --help   the options of one mode
"""

USER_ERROR: Final = 2
INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one mode and return its exit status: 2 for a mistake that the user can mend, 130 after Ctrl-C.

    Without a mode it answers --version and --help. argparse leaves by SystemExit. Private files by default (umask).
    """
    os.umask(0o077)
    arguments = list(sys.argv[1:] if argv is None else argv)
    flag = next((argument for argument in arguments if argument in MODES), None)
    if flag is None:
        return _without_mode(arguments)
    arguments.remove(flag)
    try:
        return _handler(flag)(arguments)
    except UserFacingError as error:
        print(f"fedmed-desktop: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("fedmed-desktop: stopped", file=sys.stderr)
        return INTERRUPTED


def _handler(flag: str) -> Callable[[list[str]], int]:
    module, _, function = MODES[flag][1].partition(":")
    return cast(Callable[[list[str]], int], getattr(importlib.import_module(module), function))


def _without_mode(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="fedmed-desktop",
        description="Hospitals fine-tune one clinical language model together; only approved adapters leave a site.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fedmed-desktop {__version__}")
    modes = parser.add_argument_group(
        "modes", "one of these comes first; its own options follow"
    ).add_mutually_exclusive_group()
    for flag, (summary, _) in MODES.items():
        modes.add_argument(flag, action="store_true", help=summary)
    parser.parse_args(arguments)
    parser.print_help(sys.stderr)
    return USER_ERROR
