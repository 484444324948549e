# SPDX-License-Identifier: Apache-2.0
"""Names of sites: any script, each written one way, and no two that differ only in case, blanks or encoding."""

from __future__ import annotations

import unicodedata
from typing import Final

from ..errors import UserFacingError

MOST_LETTERS: Final = 60
PROGRAMS: Final = frozenset({"agent", "coordinator", "rule", "policy"})
"""Names that stand for no person in a site's record of decisions."""
_MARKS: Final = frozenset(" .,'’_-–&()")
# Letters and marks that show nothing, which Unicode counts as letters and marks all the same (Default_Ignorable).
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    chr(code) for first, last in ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for code in range(first, last + 1)
}
_APOSTROPHES: Final = str.maketrans("’‘ʼ`´", "'''''")
# Small letters that look like a Latin one, themselves or as capitals: Cyrillic, Greek and the dotless i.
_TWINS: Final = str.maketrans("авекмнорстухіјѕһԁԛԝαβεζηικμνορτυχı", "abekmhopctyxijshdqwabezhikmnoptyxi")


def clean_name(text: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks at its ends, one between words.

    Raises ValueError where it is empty or too long, begins with neither letter nor digit, or has other characters than
    letters, digits and usual punctuation; so no control character, nothing unseen, and no mark that turns the direction
    of text.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    plain = all(sign in _MARKS or sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc") for sign in name)
    if not (0 < len(name) <= MOST_LETTERS and name[0].isalnum() and plain and _UNSEEN.isdisjoint(name)):
        raise ValueError("is no name of a site")
    return name


def site_name(text: str) -> str:
    """The name as a federation writes it. Raises UserFacingError("site.name") for what can be no name."""
    try:
        return clean_name(text)
    except ValueError as error:
        raise UserFacingError("site.name", name=text[:100]) from error


def alike(name: str) -> str:
    """A form that is the same for names that differ only in case, encoding or alphabet of letters that look the same,
    blanks or apostrophes.
    """
    plain = unicodedata.normalize("NFKC", name.translate(_APOSTROPHES)).casefold().translate(_APOSTROPHES)
    whole = unicodedata.normalize("NFKC", plain)  # folding may have taken letters apart
    return " ".join(whole.translate(_TWINS).split())
