# SPDX-License-Identifier: Apache-2.0
"""The option for a proxy, the same wherever a coordinator is reached."""

from __future__ import annotations

import argparse

SYSTEM = "system"


def add_proxy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--proxy",
        default=SYSTEM,
        metavar="URL|none|system",
        help="the HTTP proxy to go through (default: as this computer's settings say; HTTPS_PROXY keeps a password "
        "out of the list of processes)",
    )
