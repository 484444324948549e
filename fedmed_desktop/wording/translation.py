# SPDX-License-Identifier: Apache-2.0
"""Translation of what a person reads, without Qt; any thread.

`tr("...")` and the constants marked by `later("...")` are found by packaging/translations.py, so their text must be a
plain string, and not inside an f-string. English is in the sources; a text with a number has its two forms in
resources/i18n/fedmed_en.ts.
"""

from __future__ import annotations

from typing import Final

from ..resources import resource
from .catalogue import Catalogue, read_catalogue
from .figures import ENGLISH, Customs, Template, is_for_a_file, use_customs, written

_installed: list[Catalogue] = []
# The forms for one and for many, read at import: who asks for a text reads no file.
_ENGLISH: Final = read_catalogue(resource("i18n") / "fedmed_en.ts", "en")


def install(catalogue: Catalogue | None, customs: Customs = ENGLISH) -> None:
    """Says everything in this language from now on, and numbers and moments by its customs. None: English."""
    _installed[:] = [catalogue] if catalogue else []
    use_customs(customs if catalogue else ENGLISH)


def reads_english() -> bool:
    """Tells whether no other language is installed."""
    return not _installed


def tr(source: str, comment: str = "", n: int = -1, /, *, context: str = "") -> str:
    """The text in the language of the reader. `n` fills %n and decides between one and many."""
    reader = _installed[0] if _installed and not is_for_a_file() else None
    said = (reader and reader.find(context, source, comment, n)) or source
    if n >= 0:
        if said == source:
            said = _ENGLISH.find(context, source, comment, n) or source
        said = said.replace("%n", written(n))
    return Template(said) if reader else said


def together(*sentences: str) -> str:
    """One sentence after the other; empty ones are left out."""
    return " ".join(filter(None, sentences))


def later(source: str) -> str:
    """Marks a constant, which is translated by tr() when it is shown."""
    return source
