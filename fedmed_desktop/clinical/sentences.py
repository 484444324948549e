# SPDX-License-Identifier: Apache-2.0
"""Sentence boundaries in clinical English by simple rules: no model, no dictionary beyond a few abbreviations.

A wrong cut costs little here (a window of a long note is a bit shorter), so the rules lean towards not cutting.
"""

from __future__ import annotations

import re
from typing import Final

# A line's end, or a full stop, question or exclamation mark with its closing brackets, before a blank and a capital.
# Small letters and digits after the mark do not start a sentence: "0. 2 mg", "approx. 30", "et al. found".
# Looked for from the first of several marks alone, and all of them at once: a row of dots must not take its square.
_END: Final = re.compile(r"""\n+|(?<![.?!])[.?!]++[)\]"']*+(?=\s+[(\["']*[A-Z])""")
_WORD_BEFORE: Final = re.compile(r"[^\s(\[\"']*\Z")
# fmt: off
_ABBREVIATIONS: Final = frozenset({
    "al", "approx", "ca", "cf", "dr", "drs", "ed", "eds", "etc", "fig", "figs", "inc", "jr", "mr", "mrs", "ms",
    "no", "nos", "nr", "prof", "resp", "sr", "ssp", "st", "viz", "vol", "vs",
})
# fmt: on
_LONGEST_WORD: Final = 24
# "i.v", "p.o", "U.S", "b.i.d": single letters with full stops between; also an initial or genus on its own: "E. coli".
_LETTERS: Final = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")


def sentence_ends(text: str) -> list[int]:
    """Offsets just behind each sentence but the last, in order; blanks between sentences belong to the next one."""
    return [match.end() for match in _END.finditer(text) if _is_end(text, match)]


def _is_end(text: str, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] == "\n" or mark[0] in "?!" or len(mark) > 1:
        return True
    word = _WORD_BEFORE.search(text[max(0, match.start() - _LONGEST_WORD) : match.start()])
    before = word.group() if word else ""
    if before.lower() in _ABBREVIATIONS:
        return False
    # "vitamin B12. The" ends; "vitamin E. The" is taken for an initial and does not: the rarer fault.
    return not _LETTERS.fullmatch(before)
