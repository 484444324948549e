# SPDX-License-Identifier: Apache-2.0
"""The official table of ICD-10-CM as it is bundled: billable codes, categories and inclusion terms.

Only billable codes are ever predicted. A note's own codes stay as they are, also where the table does not have them:
other editions differ a little, and their categories can still be compared.
"""

from __future__ import annotations

import gzip
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ...resources import resource


class Term(NamedTuple):
    """A name of a code, of a category or of the codes that begin with `node`."""

    node: str
    text: str


def dotted(code: str) -> str:
    """A code as the table writes it: "e119", "E11.9" and " E11.9. " are "E11.9"."""
    plain = "".join(code.split()).replace(".", "").upper()
    return plain if len(plain) <= 3 else f"{plain[:3]}.{plain[3:]}"


def category(code: str) -> str:
    """The category of a code, in the table or not: its first three characters."""
    return dotted(code)[:3]


@dataclass(frozen=True)
class CodeTable:
    """Descriptions by billable code and titles by category, in the order of the table; `terms` are inclusion terms."""

    codes: Mapping[str, str]
    categories: Mapping[str, str]
    terms: tuple[Term, ...] = ()

    def billable(self, code: str) -> bool:
        return dotted(code) in self.codes

    def description(self, code: str) -> str:
        """The description of a billable code; no two are described alike. Raises KeyError for another."""
        return self.codes[dotted(code)]

    def unknown(self, codes: Iterable[str]) -> tuple[str, ...]:
        """Codes that are no billable ones of this edition, as they were given, in their order."""
        return tuple(code for code in codes if not self.billable(code))

    def under(self, node: str) -> tuple[str, ...]:
        """The billable codes of a category or subdivision such as "E11" or "E11.2"; of a billable code itself."""
        return tuple(self._in_order[i] for i in self._places(dotted(node)))

    def all_terms(self) -> Iterator[Term]:
        """Every name there is: descriptions, inclusion terms, titles of categories."""
        yield from (Term(code, text) for code, text in self.codes.items())
        yield from self.terms
        yield from (Term(code, text) for code, text in self.categories.items())

    @cached_property
    def _in_order(self) -> list[str]:
        return sorted(self.codes)

    def _places(self, node: str) -> range:
        first = last = bisect_left(self._in_order, node)
        while last < len(self._in_order) and self._in_order[last].startswith(node):
            last += 1
        return range(first, last)


def read_table(folder: Path) -> CodeTable:
    """The table in a folder. Raises FileNotFoundError where the installation is broken."""
    return CodeTable(
        codes=MappingProxyType(dict(_rows(folder / "codes.tsv.gz"))),
        categories=MappingProxyType(dict(_rows(folder / "categories.tsv.gz"))),
        terms=tuple(Term(code, text) for code, text in _rows(folder / "terms.tsv.gz")),
    )


@cache
def bundled_table() -> CodeTable:
    """ICD-10-CM as it comes with the program; read once. Raises FileNotFoundError where the installation is broken."""
    return read_table(resource("icd10cm"))


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        code, _, text = line.partition("\t")
        yield code, text
