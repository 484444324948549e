# SPDX-License-Identifier: Apache-2.0
"""`fedmed-desktop` without a mode: the desktop's options, and how it is opened from a terminal or without one."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..desktop.options import DesktopOptions
from ..errors import UserFacingError
from ..wording import told
from .parser import Parser

USER_ERROR = 2


def make_parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="Hospitals fine-tune one clinical language model together; only approved adapters leave a site.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fedmed-desktop {__version__}")
    group = parser.add_argument_group("the desktop", "without a mode it opens, on what it knows from earlier")
    start = group.add_mutually_exclusive_group()
    start.add_argument(
        "--join",
        metavar="INVITATION",
        help="open on the form to join: by the line that begins with fedmed:, a .fedmed file, a picture of its QR "
        "code, or the address of a coordinator on this computer (ws://127.0.0.1:8765)",
    )
    start.add_argument(
        "--try",
        nargs="+",
        dest="trial",
        metavar=("MODEL", "ADAPTER"),
        help="open on trying this model, with and without an adapter; needs no federation",
    )
    group.add_argument("--data-dir", type=Path, metavar="DIR", help="folder for everything that the desktop keeps")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> DesktopOptions:
    """Leaves by SystemExit where an option is wrong, as argparse does."""
    chosen = parser.parse_args(arguments)
    model, *adapters = chosen.trial or [None]
    if len(adapters) > 1:
        parser.error("argument --try: a model and at most one adapter")
    adapter = Path(adapters[0]) if adapters else None
    return DesktopOptions(join=chosen.join, try_model=model, try_adapter=adapter, data_dir=chosen.data_dir)


def run(options: DesktopOptions) -> int:
    """Opens the desktop; returns when it is closed, or once the one that was open already has come to the front.
    Raises UserFacingError where Qt cannot start.
    """
    from ..desktop import preflight

    preflight.check()
    preflight.prepare()
    from ..desktop.folder import data_folder
    from ..desktop.frame.second_start import Call, is_handed_over

    if is_handed_over(data_folder(options), Call.of(options.join, options.try_model, options.try_adapter)):
        print("fedmed-desktop was open already; its window is in front now.")  # nowhere, where there is no terminal
        return 0
    from ..desktop.app import run

    return run(options)


def run_without_terminal(arguments: Sequence[str]) -> int:
    """The desktop without a terminal: a mistake opens a window, since printed text would not be seen."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = parse(make_parser("fedmed-desktop-gui"), arguments)
        return run(options)
    except SystemExit as end:
        if not end.code:  # --help and --version
            raise
        _tell(said.getvalue().strip())
    except UserFacingError as error:
        _tell(told(error))
    return USER_ERROR


def _tell(text: str) -> None:
    from ..desktop import preflight

    try:
        preflight.check()
    except UserFacingError:
        print(text, file=sys.stderr)  # Qt cannot show it
        return
    preflight.prepare()
    from ..desktop.frame.notice import show

    show(text)
