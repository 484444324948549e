# SPDX-License-Identifier: Apache-2.0
"""The script that makes the files for translators, and a language that nobody speaks: what translators would be given,
accented, two fifths longer and in brackets, so that what was not translated, or does not fit, is seen.
"""

from __future__ import annotations

import importlib.util
import re
import textwrap
from functools import cache
from types import ModuleType

from fedmed_desktop.wording.catalogue import Catalogue
from tests.parts.sources import ROOT

_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ACCENTED = "áƀçðéƒĝĥíĵķļɱñóþɋřšţúṽŵẋýžÁƁÇÐÉƑĜĤÍĴĶĻṀÑÓÞɊŘŠŢÚṼŴẊÝŽ"
_WORD = 12  # letters of a long word: a line can break between two, as it can in any language
_KEPT = re.compile(r"(\{[^{}]*\}|%n|<[^<>]*>|&\w+;)")  # fields, numbers and marks of HTML


@cache
def script() -> ModuleType:
    """packaging/translations.py."""
    spec = importlib.util.spec_from_file_location("translations", ROOT / "packaging" / "translations.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def present() -> dict[tuple[str, str, str], bool]:
    """All texts of the sources, and which of them have a number; takes a second."""
    found: dict[tuple[str, str, str], bool] = script().present()
    return found


def spoken(source: str) -> str:
    """Round %n becomes [[Řóúñð %n~~~]]."""
    table = str.maketrans(_PLAIN, _ACCENTED)
    parts = _KEPT.split(source)
    said = "".join(part if at % 2 else part.translate(table) for at, part in enumerate(parts))
    return f"[[{said}{' '.join(textwrap.wrap('~' * (2 * len(source) // 5), _WORD))}]]"


def pseudo_language() -> Catalogue:
    return Catalogue("xx", {key: (spoken(key[1]),) for key in present()})
