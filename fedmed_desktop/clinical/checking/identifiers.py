# SPDX-License-Identifier: Apache-2.0
"""Signs in a note's text of a patient's identifiers: their kinds and number, never the words.

Rules, not a model: they find what is written as forms write it, miss what is written otherwise, and are no proof that
notes are de-identified. They lean towards silence where a number may be a measurement, for a warning at every note
would not be read. Names are looked for behind "Patient:" and "Name:" alone; placeholders such as "XXXX" are none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

IdentifierKind = Literal[
    "phone", "record_number", "email", "social_security", "birth_date", "name_header", "address", "postcode"
]
IDENTIFIERS: Final[tuple[IdentifierKind, ...]] = get_args(IdentifierKind)


class _Rule(NamedTuple):
    """A way to see one: the `mark`, which is searched for, and what must stand right `before` it.

    `needs`: words of which one must be in the text at all, in small letters; none: no such condition.

    Marks begin with a rare character, not with a look back, so that a gigabyte takes a minute and not ten.
    """

    mark: re.Pattern[str]
    before: re.Pattern[str]
    needs: tuple[str, ...]


_BEFORE: Final = 80  # characters looked at before a mark
_FREE: Final = r"(?:\A|[^\w.+-])\Z"  # no digit, letter or sign that a number may go on from
_ENDS: Final = r"(?![\w-]|[.,]\d)"
_SEPARATOR: Final = r"\s*(?:(?:is|no|number|nr|num|id)\b\.?)?\s*[:#=.]*\s*"


def _rule(mark: str, before: str, flags: int = 0, needs: tuple[str, ...] = ()) -> _Rule:
    """`flags` are those of what stands before."""
    return _Rule(re.compile(mark, re.MULTILINE), re.compile(before, flags), needs)


_NAMED_PHONE: Final = (
    r"\b(?:phone|telephone|tel|fax|facsimile|pager|beeper|mobile|cell(?:ular)?(?: phone)?|"
    r"(?:call|contact)(?:(?: me| us)? (?:at|on))?)\b\.?"
)
_NUMBERED: Final = (
    r"\b(?:MRN|M\.R\.N\.|MR\s?(?=#)|(?:medical|hospital|patient)\srecord\s?(?=[:#])|"
    r"(?:(?:medical|health|hospital|clinic|patient)(?:\srecord)?|chart|account|accession|NHS|case|unit|visit|encounter|"
    r"health\splan|insurance|policy|member|medicare|medicaid)\s?(?:number|no\b|nr\b|id\b|#))"
)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_BIRTH: Final = r"(?:\bDOB|\bD\.O\.B\.?|\bdate\sof\sbirth|\bbirth\s?date|\bbirthday|\bborn)\s*(?:is|on)?\s*[:#=-]*\s*"
_BORN: Final = ("birth", "born", "dob", "d.o.b")
_WORD: Final = r"(?:[A-Z][a-z'’-]{1,24}(?:[A-Z][a-z]{1,24})?|[A-Z]{2,24})"
_STREET: Final = (
    r"(?:Street|Avenue|Boulevard|Road|Lane|Drive|Terrace|Highway|Parkway|Crescent|"
    r"(?:St|Ave|Blvd|Rd|Ln|Dr|Hwy|Pkwy|Place|Court|Circle|Way)\b\.?(?=[ ]*(?:$|[\n\r,;#]|(?:Apt|Suite|Unit)\b)))"
)
_STATE: Final = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT|V[AT]|"
    r"W[AIVY])"
)
_ZIP: Final = r"(?i:\b(?:post(?:al)?[ ]?code|zip(?:[ ]code)?)[ ]*[:#]?[ ]*)"
_BRITISH: Final = r"[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]?"

_RULES: Final[dict[IdentifierKind, tuple[_Rule, ...]]] = {
    "phone": (
        # Neither area nor exchange of a North American number begins with 0 or 1. Blanks alone separate columns.
        _rule(r"[2-9]\d\d[.-][2-9]\d\d[ .-]\d{4}" + _ENDS, rf"(?:{_FREE}|(?:\A|[^\w.])\+?1[ .-]?\Z)"),
        _rule(r"\([2-9]\d\d\)[ .-]?[2-9]\d\d[ .-]\d{4}" + _ENDS, r"(?:\A|[^\d])(?:1[ .-]?)?\Z"),
        _rule(r"\+[2-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,5}" + _ENDS, _FREE),
        _rule(r"[(+\d][(\d]?[\d ().-]{5,18}\d(?![\w/%])", _NAMED_PHONE + _SEPARATOR + r"\Z", re.IGNORECASE),
    ),
    "record_number": (
        _rule(r"\d[\d-]{2,14}\d" + _ENDS, _NUMBERED + _SEPARATOR + r"(?-i:[A-Z]{0,4})[- ]?\Z", re.IGNORECASE),
    ),
    "email": (_rule(r"@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b", r"[\w.+-]\Z"),),
    "social_security": (
        # 666 and 9xx are never given out, nor groups of zeros.
        _rule(r"[0-8]\d\d(?<!000)(?<!666)-(?!00)\d\d-(?!0000)\d{4}" + _ENDS, _FREE),
        _rule(
            r"\d{3}[- ]?\d\d[- ]?\d{4}" + _ENDS,
            r"\b(?:SSN|S\.S\.N\.|social\ssecurity)" + _SEPARATOR + r"\Z",
            re.IGNORECASE,
            ("ssn", "s.s.n", "social"),
        ),
    ),
    "birth_date": (
        _rule(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{2,4}\b", _BIRTH + r"\Z", re.IGNORECASE, _BORN),
        _rule(rf"\d{{1,2}}(?:st|nd|rd|th)?[\s-](?i:{_MONTH}),?[\s-]\d{{4}}\b", _BIRTH + r"\Z", re.IGNORECASE, _BORN),
        _rule(r"\d{1,2}(?:st|nd|rd|th)?,?\s\d{4}\b", _BIRTH + _MONTH + r"\s\Z", re.IGNORECASE, _BORN),
    ),
    "name_header": (
        _rule(
            rf"[:=][ \t]*(?:(?:Mr|Mrs|Ms|Miss|Mx|MR|MRS|MS|MISS)\.?[ ]{_WORD}|"
            rf"(?P<one>{_WORD}),?[ ](?:(?:[A-Z]\.?|{_WORD})[ ])?(?P<two>{_WORD})(?:[ ][A-Z]\.?)?)"
            r"(?=[ \t]*(?:$|[\n\r\t,;|(]|\.(?!\w)|[ ]{2}|(?:DOB|D\.O\.B|MRN|Age|AGE|Sex|SEX|Date|DATE|Gender)\b))",
            r"(?:\A|[\n\r\t;|,]|[.:]\s{1,4})[ ]{0,40}"
            r"(?:patient(?:['’]s)?(?:\sname)?|pt\.?(?:\sname)?|name(?:\sof\spatient)?|(?:last|first|full)\sname|surname)"
            r"[ \t]*\Z",
            re.IGNORECASE,
        ),
    ),
    "address": (
        _rule(
            r"\d{1,5}[A-Z]?[ ](?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.?[ ])?"
            rf"(?:[A-Z][a-z'’]{{1,20}}|\d{{1,3}}(?:st|nd|rd|th))(?:[ ][A-Z][a-z'’]{{1,20}}){{0,2}}[ ]{_STREET}(?!\w)",
            r"(?:\A|[^\w./,-]|(?:\A|\D),)\Z",
        ),
        _rule(r"P\.?[ ]?O\.?[ ]Box[ ]\d{1,6}\b", r"(?:\A|\W)\Z"),
    ),
    "postcode": (
        _rule(
            r"\d{5}(?:-\d{4})?(?![\w-])(?!\s?(?:mg|mcg|units|mL|cells)\b)",
            rf"(?:\b[A-Z][a-z]{{2,20}},[ ]{{1,2}}{_STATE}\.?[ ]{{1,2}}|{_ZIP})\Z",
        ),
        # The second half of a British one never has C, I, K, M, O or V. It ends a line of an address.
        _rule(
            r"\d(?!(?:ND|RD|TH|ST|QD|BD)\b)[ABD-HJLNP-UW-Z]{2}(?=[ ]*(?:$|[\n\r,;]))",
            rf"(?:\A|\n|[a-z],?[ ]|,[ ]?){_BRITISH}[ ]\Z|{_ZIP}{_BRITISH}[ ]?\Z",
        ),
    ),
}
# What may follow "Patient:" and is no name.
# fmt: off
_NO_NAMES: Final = frozenset({
    "a", "admits", "adult", "alert", "an", "and", "appears", "awake", "black", "caucasian", "child", "complains",
    "denies", "female", "for", "has", "he", "her", "his", "in", "infant", "is", "known", "male", "man", "name", "new",
    "no", "none", "not", "of", "on", "patient", "presents", "reports", "seen", "she", "states", "the", "their", "there",
    "they", "this", "unknown", "was", "well", "white", "with", "withheld", "woman", "year",
})
# fmt: on


def identifiers(text: str) -> Counter[IdentifierKind]:
    """Number of each kind that a text seems to hold; kinds of which it holds none are left out."""
    small = text.lower()
    counts = {kind: len({match.end() for match in _found(kind, text, small)}) for kind in IDENTIFIERS}
    return Counter({kind: count for kind, count in counts.items() if count})


def identifier_spans(text: str) -> list[tuple[int, int]]:
    """Offsets of the same marks, half-open and in order; of overlapping ones the first."""
    small = text.lower()
    spans: list[tuple[int, int]] = []
    for start, end in sorted({match.span() for kind in IDENTIFIERS for match in _found(kind, text, small)}):
        if not spans or start >= spans[-1][1]:
            spans.append((start, end))
    return spans


def _found(kind: IdentifierKind, text: str, small: str) -> Iterator[re.Match[str]]:
    """Marks of a kind; two rules may see the same one."""
    for mark, before, needs in _RULES[kind]:
        if needs and not any(word in small for word in needs):
            continue
        for match in mark.finditer(text):
            if _likely(kind, match) and before.search(text[max(0, match.start() - _BEFORE) : match.start()]):
                yield match


def _likely(kind: IdentifierKind, match: re.Match[str]) -> bool:
    """False for what only has the form of one: 0000000 stands for a number that was taken out, XXXX for a name."""
    digits = [sign for sign in match[0] if sign.isdigit()]
    if kind == "phone":
        return 7 <= len(digits) <= 15
    if kind == "record_number":
        return len(digits) >= 4 and len(set(digits)) > 1
    if kind == "name_header":
        words = [word.casefold() for word in match.groups() if word]
        return not any(word in _NO_NAMES or len(set(word)) == 1 for word in words)
    return True
