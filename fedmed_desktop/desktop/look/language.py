# SPDX-License-Identifier: Apache-2.0
"""Language of the desktop: which one, and how Qt and the program's own texts, numbers and moments come to speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from PySide6.QtCore import QDateTime, QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from ...wording import install
from ...wording.catalogue import Catalogue, catalogue_of, languages
from ...wording.figures import Customs, Moment

SYSTEM: Final = "system"
_NO_BREAK: Final = "\xa0"


def _formats(near: str, day: str) -> Mapping[Moment, str]:
    return {
        "clock": "HH:mm",
        "weekday": "ddd HH:mm",
        "near": f"ddd {near}, HH:mm",
        "date": f"{near} HH:mm",
        "day": day,
        "minute": f"{day} HH:mm",
        "stamp": f"{day} HH:mm:ss",
    }


# Of QLocale.toString: what "Mon 03 Jun, 14:05" and "2026-06-03" become. Those of Qt's own short and long formats leave
# the century or the weekday out.
_MOMENTS: Final[Mapping[str, Mapping[Moment, str]]] = {
    "de": _formats("d. MMM", "dd.MM.yyyy"),
    "fr": _formats("d MMM", "dd/MM/yyyy"),
    "es": _formats("d MMM", "dd/MM/yyyy"),
}


def language_for(choice: str, system: Sequence[str] | None = None) -> str:
    """One of languages(). `system`: names of the languages that the person has set for all programs, best first."""
    there = languages()
    if choice in there:
        return choice
    names = QLocale.system().uiLanguages() if system is None else system
    wanted = (name.replace("_", "-").partition("-")[0] for name in names)
    return next((language for language in wanted if language in there), "en")


def locale_of(language: str) -> QLocale:
    """The system's own where it speaks this language (Austria, Switzerland, Mexico); else the language's usual one."""
    system, usual = QLocale.system(), QLocale(language)
    return system if system.language() == usual.language() and language != "en" else usual


def customs_of(language: str, locale: QLocale) -> Customs:
    """Customs by which numbers and moments are written; `language` is one of languages() but English."""
    formats = _MOMENTS[language]

    def moment(time: datetime, kind: Moment) -> str:
        seconds = QDateTime.fromSecsSinceEpoch(int(time.timestamp()))
        return locale.toString(seconds, formats[kind])

    return Customs(
        locale.groupSeparator(), locale.decimalPoint(), f"{_NO_BREAK}%", len(locale.toString(1234)) == 4, moment,
        byte="o" if language == "fr" else "B",
    )  # fmt: skip


class _Texts(QTranslator):
    """Texts for self.tr(), read from the same file as tr(): no second one to build, and to forget, from it."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__()
        self._find = catalogue.find

    def isEmpty(self) -> bool:
        return False

    def translate(self, context: str, source: str, disambiguation: str | None = None, n: int = -1) -> str | None:
        """Answer of the catalogue; None lets Qt ask the next translator, "" would be shown."""
        return self._find(context, source, disambiguation or "", n)


class Language:
    """The language that an application speaks from now on; `end` before another one. GUI thread.

    Before the first widget: those that are there keep their texts, so a change of language waits for the next start.
    """

    def __init__(self, app: QApplication, language: str, catalogue: Catalogue | None = None) -> None:
        """`catalogue`: other texts than those that come with the program."""
        self._app = app
        self._locale_before = QLocale()
        self._translators: list[QTranslator] = []
        locale = locale_of(language)
        QLocale.setDefault(locale)
        texts = catalogue or catalogue_of(language)
        if texts is None:
            return
        own = QTranslator()  # Qt's: buttons and dialogs of files
        if own.load(locale, "qtbase", "_", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
            self._translators.append(own)
        self._translators.append(_Texts(texts))
        for translator in self._translators:
            app.installTranslator(translator)
        install(texts, customs_of(language, locale))

    def end(self) -> None:
        """English again."""
        install(None)
        for translator in reversed(self._translators):
            self._app.removeTranslator(translator)
        self._translators.clear()
        QLocale.setDefault(self._locale_before)
