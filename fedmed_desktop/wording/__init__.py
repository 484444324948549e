# SPDX-License-Identifier: Apache-2.0
"""Words that a person reads: one sentence for each error code, and events as lines of text.

Only faces use them. Everything below passes codes and parameters, so that a face may translate the sentence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import Size, UserFacingError, disk_fault, plain
from . import (
    audit,
    checks,
    client_privacy,
    desktop,
    federation,
    files,
    founding,
    hosting,
    lab,
    methods,
    network,
    notes,
    notes_check,
    policy,
    privacy,
    registry,
    screening,
    secrets,
    secure,
    tls,
)
from .figures import amount, clock, in_english, moment, unit, written
from .tasks import task_name
from .translation import install, later, reads_english, together, tr

__all__ = [
    "SENTENCES",
    "amount",
    "clock",
    "in_english",
    "install",
    "later",
    "moment",
    "reads_english",
    "sentence",
    "task_name",
    "together",
    "told",
    "tr",
    "unit",
    "written",
]

Params = Mapping[str, str | int | float]

SENTENCES: Final[Mapping[str, str]] = {
    # code -> sentence; {name} is a parameter
    code: text
    for area in (
        audit,
        checks,
        client_privacy,
        desktop,
        federation,
        files,
        hosting,
        founding,
        lab,
        methods,
        network,
        notes,
        notes_check,
        policy,
        privacy,
        registry,
        screening,
        secrets,
        secure,
        tls,
    )
    for code, text in area.SENTENCES.items()
}


def told(error: BaseException) -> str:
    """The sentence that tells a person what went wrong and what to do."""
    if isinstance(error, OSError):
        error = disk_fault(error, Path(error.filename or ""))
    return sentence(error.code, error.params) if isinstance(error, UserFacingError) else str(error)


def sentence(code: str, params: Params) -> str:
    """The sentence of a code with its parameters; a newer peer's code has no sentence and is shown as it is."""
    template = SENTENCES.get(code)
    text = plain(code, params) if template is None else tr(template, context="errors").format_map(_Unknown(params))
    return printable(text, "\n")


def printable(text: str, but: str = "") -> str:
    """The text with "?" for control characters: a peer's words may hold commands to a terminal, and lines of its own.

    `but`: those that may stay.
    """
    return "".join("?" if unicodedata.category(sign) == "Cc" and sign not in but else sign for sign in text)


class _Unknown(dict[str, str | int | float]):
    """A peer of another version, or a hostile one, leaves parameters out; a record may keep the code alone."""

    def __init__(self, params: Params) -> None:
        super().__init__({name: amount(one) if isinstance(one, Size) else one for name, one in params.items()})

    def __missing__(self, key: str) -> str:
        return "…"
