# SPDX-License-Identifier: Apache-2.0
"""Translation of what a person reads, without Qt; any thread.

`tr("...")` and the constants marked by `later("...")` are found by packaging/translations.py, so their text must be a
plain string, and not inside an f-string. English is in the sources; a text with a number has its two forms in
resources/i18n/fedmed_en.ts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Final

from ..resources import resource

Translator = Callable[[str, str, str, int], str]  # context, source, comment, number (-1: none) -> text
_translators: list[Translator] = []
# The forms for one and for many, read at import: who asks for a text reads no file.
_FORMS: Final = r"<source>(.*?)</source>\s*<translation>\s*" + 2 * r"<numerusform>(.*?)</numerusform>\s*"
_ENGLISH: Final = {
    unescape(source): (unescape(one), unescape(many))
    for source, one, many in re.findall(_FORMS, (resource("i18n") / "fedmed_en.ts").read_text("utf-8"))
}


def install(translator: Translator | None) -> None:
    """Asks this translator from now on; it returns the source where it knows no better. None: English."""
    _translators[:] = [translator] if translator else []


def tr(source: str, comment: str = "", n: int = -1, /, *, context: str = "") -> str:
    """The text in the language of the reader. `n` fills %n and decides between one and many."""
    said = _translators[0](context, source, comment, n) if _translators else source
    if n < 0 or said not in (source, source.replace("%n", str(n))):
        return said
    one, many = _ENGLISH[source]
    return (one if n == 1 else many).replace("%n", f"{n:,}")


def together(*sentences: str) -> str:
    """One sentence after the other; empty ones are left out."""
    return " ".join(filter(None, sentences))


def later(source: str) -> str:
    """Marks a constant, which is translated by tr() when it is shown."""
    return source
