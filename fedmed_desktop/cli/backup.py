# SPDX-License-Identifier: Apache-2.0
"""`--backup FILE_OR_DIR`: copy a coordinator's data folder, also while the coordinator runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parser import Parser


def run(argv: list[str]) -> int:
    """Writes the backup, whole or not at all, and says what is not in it."""
    options = _parser().parse_args(argv)
    from ..coordinator.alone import back_up_to
    from ..site import operating_user
    from ..storage.secrets import where_kept

    size = back_up_to(options.data_dir, options.target, operating_user())
    place = options.target if options.target.is_file() else f"the folder {options.target}"
    print(f"The backup is in {place} ({size / 1e6:.1f} MB). It holds the coordinator's keys: keep it as safe.")
    kept = where_kept(options.data_dir, "coordinator")
    if kept and kept.where == "credential":
        print(f"The identity key is not in it: it is a credential of this server ({kept.detail}). Keep a copy of that.")
    print(
        "To go on from it, start a coordinator with it as --data-dir (unpack a .tar first). First stop the other one."
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --backup",
        description="Copy a coordinator's data folder as of one moment, also while the coordinator runs.",
    )
    parser.add_argument("target", type=Path, metavar="FILE_OR_DIR", help="a new folder, or a file that ends in .tar")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the coordinator's data folder")
    return parser
