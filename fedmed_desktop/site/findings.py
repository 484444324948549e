# SPDX-License-Identifier: Apache-2.0
"""Findings of a check of a site's connection and computer: what was checked, the outcome, and the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import UserFacingError

Subject = Literal[
    "address", "proxy", "name", "line", "encryption", "identity", "version", "clock", "speed", "disk", "memory", "key",
    "gpu", "training",
]  # fmt: skip
Level = Literal["ok", "warning", "wrong"]
Params = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Finding:
    """`code` and, where there is one, `because` are codes of sentences, which say what to do unless all is well."""

    subject: Subject
    level: Level
    code: str
    params: Params = field(default_factory=dict)
    because: str = ""

    @classmethod
    def of(cls, subject: Subject, error: UserFacingError, level: Level = "wrong") -> Finding:
        return cls(subject, level, error.code, error.params)


Tell = Callable[[Finding], None]
