# SPDX-License-Identifier: Apache-2.0
"""Deputies: who may approve in place of an approver who is away, and on which days. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated

from pydantic import Field, model_validator

from .values import Frozen

Name = Annotated[str, Field(min_length=1, max_length=80)]


class Deputy(Frozen):
    """`name` approves in place of `instead_of` from the first to the last of these days, both included, by the calendar
    of the site. What is recorded is the deputy's own name.
    """

    name: Name
    instead_of: Name
    first: date
    last: date

    @model_validator(mode="after")
    def _stands_in(self) -> Deputy:
        if self.last < self.first:
            raise ValueError("the last day is before the first")
        if self.name.strip().casefold() == self.instead_of.strip().casefold():
            raise ValueError("nobody is their own deputy")
        return self

    def counts_on(self, day: date) -> bool:
        return self.first <= day <= self.last


def with_deputies(approvers: tuple[str, ...], deputies: Iterable[Deputy], day: date | None) -> tuple[str, ...]:
    """Approvers and whoever stands in for one of them on this day; None: nobody does."""
    known = {name.strip().casefold() for name in approvers}
    standing_in = (
        one.name
        for one in deputies
        if day is not None and one.counts_on(day) and one.instead_of.strip().casefold() in known
    )
    return tuple(dict.fromkeys((*approvers, *standing_in)))
