# SPDX-License-Identifier: Apache-2.0
"""Makes the files for translators from the sources, by Qt's lupdate. The program reads these very files.

python packaging/translations.py           brings all files of resources/i18n up to date: after new texts
python packaging/translations.py --check   says what is wrong with them, and how much of each language is there
python packaging/translations.py de        makes or updates fedmed_de.ts: all texts, for Qt Linguist

A new English text becomes an unfinished message of each language, which is shown in English: nobody who adds one has
to know French. Below 95 % of a language the check fails, and a translator is needed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "resources" / "i18n"
PLURAL_FORMS = ("-pluralonly", "-target-language", "en_US")
LEAST = 0.95  # of a language's texts (inferred: what 100 new texts of about 2,000 take away)
FIELDS = re.compile(r"\{[^{}]*\}|%L?\d|<[^<>]*>|`[^`]*`")
ACCELERATOR = re.compile(r"&(?!\w+;)\w")

Key = tuple[str, str, str]  # context, source, comment


class Message(NamedTuple):
    key: Key
    forms: tuple[str, ...]
    is_finished: bool
    has_number: bool


def update(ts: Path, *options: str) -> None:
    """Adds what is new in the sources and drops what is gone; translations that are there stay."""
    sys.path.insert(0, str(ROOT))
    from fedmed_desktop.wording import SENTENCES

    sources = sorted((ROOT / "fedmed_desktop").rglob("*.py"))
    lupdate = Path(sys.executable).parent / "pyside6-lupdate"
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors.py"
        lines = [f'translate("errors", {_quoted(text)})\n' for _, text in sorted(SENTENCES.items())]
        errors.write_text("".join(lines), "utf-8")
        how = ("-silent", "-locations", "none", "-no-obsolete", "-sort-messages", "-tr-function-alias")
        command = [str(lupdate), *map(str, sources), str(errors), *how, "QT_TR_NOOP+=later", *options, "-ts", str(ts)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def update_language(language: str) -> None:
    options = PLURAL_FORMS if language == "en" else ("-target-language", language)
    update(FOLDER / f"fedmed_{language}.ts", *options)


def languages() -> list[str]:
    """English and those that somebody has begun to translate."""
    return sorted(path.stem.removeprefix("fedmed_") for path in FOLDER.glob("fedmed_*.ts"))


def messages(ts: Path) -> list[Message]:
    """Raises xml.etree.ElementTree.ParseError."""
    found = []
    for context in ElementTree.parse(ts).iter("context"):
        for message in context.iter("message"):
            said = message.find("translation")
            assert said is not None
            forms = tuple(form.text or "" for form in said.iter("numerusform")) or (said.text or "",)
            key = (context.findtext("name") or "", message.findtext("source") or "", message.findtext("comment") or "")
            found.append(Message(key, forms, "type" not in said.attrib, "numerus" in message.attrib))
    return found


def present() -> dict[Key, bool]:
    """All texts of the sources, and which of them have a number."""
    with tempfile.TemporaryDirectory() as folder:
        ts = Path(folder) / "fedmed_xx.ts"
        update(ts, "-target-language", "de")
        return {message.key: message.has_number for message in messages(ts)}


def faults(ts: Path, wanted: dict[Key, bool]) -> Iterator[str]:
    """Faults of a file, a sentence each; `wanted` is present()."""
    try:
        found = messages(ts)
    except ElementTree.ParseError as error:
        yield f"{ts.name} is not valid XML: {error}"
        return
    is_english = ts.stem == "fedmed_en"
    if {m.key for m in found} != {key for key, has_number in wanted.items() if has_number or not is_english}:
        yield f"{ts.name} is not up to date: run packaging/translations.py"
    if is_english:
        yield from (f"{ts.name} lacks a form of {m.key[1]!r}" for m in found if not all(m.forms))
    elif translated(found) < LEAST:
        yield f"{ts.name} has {translated(found):.1%} of the texts translated, less than {LEAST:.0%}: translate more"
    for message in found:
        if message.is_finished:
            yield from (f"{ts.name}: {message.key[1]!r}: {fault}" for fault in wrong_forms(message))


def translated(found: list[Message]) -> float:
    """Share of the texts, in [0, 1]."""
    return sum(message.is_finished and all(message.forms) for message in found) / max(1, len(found))


def wrong_forms(message: Message) -> Iterator[str]:
    """Placeholders that only a translation has, or only its source. A form for one may leave %n out."""
    source = message.key[1]
    blanks = re.compile(r"^\s*|\s*$")
    for form in message.forms:
        if sorted(set(FIELDS.findall(form))) != sorted(set(FIELDS.findall(source))):
            yield f"fields and marks differ in {form!r}"
        if len(ACCELERATOR.findall(form)) != min(1, len(ACCELERATOR.findall(source))):
            yield f"no or more than one letter for the keyboard (&) in {form!r}"
        if blanks.findall(form) != blanks.findall(source):
            yield f"blanks at the ends differ in {form!r}"
        if "%n" in form and not message.has_number:
            yield f"%n is never filled in {form!r}"
    if "%n" in source and "%n" not in message.forms[-1]:
        yield f"%n is missing in {message.forms[-1]!r}"


def check() -> int:
    wanted = present()
    wrong = 0
    for language in languages():
        ts = FOLDER / f"fedmed_{language}.ts"
        found = list(faults(ts, wanted))
        wrong += len(found)
        print("\n".join(found) or f"{language}: up to date, {translated(messages(ts)):.1%} translated")
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--check"]:
            return check()
        case []:
            for language in languages():
                update_language(language)
            return check()
        case [language] if not language.startswith("-"):
            update_language(language)
            return 0
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
