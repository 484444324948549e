# SPDX-License-Identifier: Apache-2.0
"""Names of sites: any script, written one way, and never two that a person could take for one another."""

from __future__ import annotations

import unicodedata
from typing import Final

MOST_LETTERS: Final = 60
_MARKS: Final = frozenset(" .,'’_-–&()")
_APOSTROPHES: Final = str.maketrans("’‘ʼ`´", "'''''")


def clean_name(text: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks at its ends, one between words.

    Raises ValueError where it is empty or too long, begins with neither letter nor digit, or has other characters than
    letters, digits and usual punctuation; so no control character and no mark that turns the direction of text.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= MOST_LETTERS or not name[0].isalnum():
        raise ValueError("is no name of a site")
    if not all(sign in _MARKS or sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc") for sign in name):
        raise ValueError("is no name of a site")
    return name


def alike(name: str) -> str:
    """A form that is the same for names that differ only in case, encoding of letters, blanks or apostrophes."""
    plain = unicodedata.normalize("NFKC", name.translate(_APOSTROPHES)).casefold().translate(_APOSTROPHES)
    return " ".join(plain.split())
