# SPDX-License-Identifier: Apache-2.0
"""Texts of a language, as resources/i18n/fedmed_LANGUAGE.ts has them (Qt Linguist's format).

The files are read as they are: there is nothing to build or to forget, and 330 kB take some hundredths of a second.
Read by expressions rather than as XML, whose reader alone takes as long to import; that packaging/translations.py
writes what this reads is tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..resources import resource

# Those of the desktop, by their own names; English is in the sources.
LANGUAGES: Final = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español"}

Key = tuple[str, str, str]  # context, source, comment

_CONTEXTS: Final = re.compile(r"<context>\s*<name>(.*?)</name>(.*?)</context>", re.DOTALL)
_MESSAGES: Final = re.compile(
    r"<source>([^<]*)</source>\s*(?:<comment>([^<]*)</comment>\s*)?(?:<(?:extra|translator)comment>[^<]*</\w+>\s*)*"
    r"<translation>(.*?)</translation>",  # with a type it is unfinished, perhaps of another text: English does better
    re.DOTALL,
)
_FORMS: Final = re.compile(r"<numerusform>([^<]*)</numerusform>")
# XML has these five names. Python's table of the 2,231 of HTML would stay in the memory of every coordinator.
_ESCAPES: Final = re.compile(r"&(#\w+|amp|apos|gt|lt|quot);")
_NAMED: Final = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}

# Which form a number takes, by the rules of Unicode's CLDR for whole numbers below a million.
_FORM_OF: Final[Mapping[str, Callable[[int], int]]] = {"fr": lambda n: int(n > 1)}


@dataclass(frozen=True)
class Catalogue:
    """Texts of a language by what they are in the sources: one form each, or one for each kind of number."""

    language: str
    texts: Mapping[Key, tuple[str, ...]]

    def find(self, context: str, source: str, comment: str = "", n: int = -1) -> str | None:
        """Text; None where nobody has translated it. `n` chooses the form (-1: none); %n stays. Any thread."""
        forms = self.texts.get((context, source, comment))
        if not forms:
            return None
        place = _FORM_OF.get(self.language, _one_or_more)(n) if n >= 0 else 0
        return forms[min(place, len(forms) - 1)] or None


def _one_or_more(n: int) -> int:
    return int(n != 1)


def read_catalogue(path: Path, language: str) -> Catalogue:
    """Finished texts of a file. Raises OSError."""
    texts: dict[Key, tuple[str, ...]] = {}
    for name, body in _CONTEXTS.findall(path.read_text("utf-8")):
        for source, comment, said in _MESSAGES.findall(body):
            forms = _FORMS.findall(said) or [said]
            texts[_plain(name), _plain(source), _plain(comment)] = tuple(map(_plain, forms))
    return Catalogue(language, texts)


def _plain(text: str) -> str:
    """The text that XML's escapes stand for."""
    return _ESCAPES.sub(lambda one: _NAMED.get(one[1]) or chr(int(one[1].replace("#", "0"), 0)), text)


def languages() -> list[str]:
    """Languages of LANGUAGES whose texts are there."""
    return [language for language in LANGUAGES if (resource("i18n") / f"fedmed_{language}.ts").exists()]


def catalogue_of(language: str) -> Catalogue | None:
    """Texts of one of languages(); None where all is English."""
    return None if language == "en" else read_catalogue(resource("i18n") / f"fedmed_{language}.ts", language)
