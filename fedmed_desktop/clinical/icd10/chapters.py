# SPDX-License-Identifier: Apache-2.0
"""The chapters of ICD-10-CM (fiscal year 2021) by their ranges of categories, and the main chapter of a coded note."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Final

# First and last category of each chapter. No two overlap, and between some lie letters or numbers without a chapter.
CHAPTERS: Final = (
    ("A00", "B99", "Infectious and parasitic diseases"),
    ("C00", "D49", "Neoplasms"),
    ("D50", "D89", "Blood and immune mechanism"),
    ("E00", "E89", "Endocrine, nutritional and metabolic"),
    ("F01", "F99", "Mental and behavioural"),
    ("G00", "G99", "Nervous system"),
    ("H00", "H59", "Eye and adnexa"),
    ("H60", "H95", "Ear and mastoid"),
    ("I00", "I99", "Circulatory system"),
    ("J00", "J99", "Respiratory system"),
    ("K00", "K95", "Digestive system"),
    ("L00", "L99", "Skin and subcutaneous tissue"),
    ("M00", "M99", "Musculoskeletal system"),
    ("N00", "N99", "Genitourinary system"),
    ("O00", "O9A", "Pregnancy and childbirth"),
    ("P00", "P96", "Perinatal period"),
    ("Q00", "Q99", "Congenital malformations"),
    ("R00", "R99", "Symptoms and findings"),
    ("S00", "T88", "Injury and poisoning"),
    ("U00", "U85", "Special purposes"),
    ("V00", "Y99", "External causes"),
    ("Z00", "Z99", "Factors influencing health"),
)
_FIRST: Final = [first for first, _, _ in CHAPTERS]

# They say how a disease showed, came about or was met, not which it is; most notes have some of them.
_SECONDARY: Final = frozenset({"Symptoms and findings", "External causes", "Factors influencing health"})


def chapter(code: str) -> str | None:
    """The chapter of a code such as "B19.20", "b1920" or "C7A"; None where it has none."""
    category = code.strip().upper()[:3]
    at = bisect_right(_FIRST, category) - 1
    if at < 0 or len(category) < 3:
        return None
    _, last, name = CHAPTERS[at]
    return name if category <= last else None


def main_chapter(codes: Iterable[str]) -> str | None:
    """The chapter of most of a note's codes (of equal ones the first named); None if no code has one.

    Symptoms, external causes and factors count only if there is nothing else: else about half of CodiEsp's notes would
    be about symptoms.
    """
    found = Counter(name for code in codes if (name := chapter(code)))
    primary = Counter({name: count for name, count in found.items() if name not in _SECONDARY})
    return max(primary or found, key=(primary or found).__getitem__, default=None)
