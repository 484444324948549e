# SPDX-License-Identifier: Apache-2.0
"""Values that the fields of a form show: a choice by its key, and a verdict on what was typed. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...wording import tr


@dataclass(frozen=True)
class Choice:
    """One of several things to choose from, by `key`; `label` is what a person reads."""

    key: str
    label: str


@dataclass(frozen=True)
class Verdict:
    """Verdict on a field, and the sentence below it: what is wrong and what to do, or what was found there. `warns`:
    right, but to be looked at.
    """

    state: Literal["empty", "checking", "wrong", "right"]
    sentence: str = ""
    warns: bool = False


EMPTY = Verdict("empty")


def checking() -> Verdict:
    """The verdict while something is looked into."""
    return Verdict("checking", tr("Checking…"))
