# SPDX-License-Identifier: Apache-2.0
"""Whole numbers and addresses as options; errors name the option."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argparse type for the whole numbers from `least` to `most` (None: without end)."""
    span = f"{least} or more" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, {span}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be {span}")
        return value

    return read


positive = whole(1)


def above_zero(text: str) -> float:
    """An argparse type for the finite numbers above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return value


def host_and_port(text: str) -> str:
    """Reads an address such as federation.example.org:8765 or [::1]:8765."""
    from ..protocol.invitation import is_address

    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a host and a port, such as federation.example.org:8765")
    return text
