# SPDX-License-Identifier: Apache-2.0
"""Six words that this site's person and the host compare by phone, as the Rounds page shows them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from ...wording import together, tr
from ..work.desk import Desk


@dataclass(frozen=True)
class SixWords:
    """`waits`: the host lets this site take part only once the words were compared."""

    words: str
    waits: bool

    @property
    def sentence(self) -> str:
        how = tr("Phone the host, at a number that you already have, and read them out. The host sees the same words.")
        if self.waits:
            return together(
                how,
                tr("Then the host confirms this site. If the words differ, somebody is intercepting the connection."),
            )
        return together(
            how, tr("If the words differ, somebody is intercepting the connection: stop, and tell the host.")
        )


def six_words(desk: Desk) -> SixWords | None:
    """The words to compare; None before the connection, in a demonstration, or with a coordinator on this computer."""
    identity = desk.identity
    if identity is None or not desk.running or desk.is_demo or desk.session is None:
        return None
    if desk.session.address.startswith("ws:") and not identity.waits:
        return None
    return SixWords(identity.phrase, identity.waits)
