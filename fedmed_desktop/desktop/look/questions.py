# SPDX-License-Identifier: Apache-2.0
"""Words of a question that a person answers by one of two or three verbs. No Qt."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """A question in a line, what follows from it, and its verbs, never Yes and No; `no` changes nothing."""

    title: str
    text: str
    yes: str
    no: str
    other: str = ""
