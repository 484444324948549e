# SPDX-License-Identifier: Apache-2.0
"""Makes the files for translators from the sources, by Qt's lupdate.

python packaging/translations.py           brings resources/i18n/fedmed_en.ts up to date: one and many in English
python packaging/translations.py --check   says whether it is
python packaging/translations.py de        makes or updates fedmed_de.ts: all texts, for Qt Linguist
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "resources" / "i18n"
PLURAL_FORMS = ("-pluralonly", "-target-language", "en_US")


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


def outdated() -> str:
    """What is wrong with the English file; "" where it is up to date."""
    ts = FOLDER / "fedmed_en.ts"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(shutil.copy(ts, folder))
        update(fresh, *PLURAL_FORMS)
        if fresh.read_text("utf-8") != ts.read_text("utf-8"):
            return f"{ts.name} is not up to date: run packaging/translations.py"
    empty = [m.findtext("source") for m in ElementTree.parse(ts).iter("message") if not all(_forms(m))]
    return f"{ts.name} lacks the forms of: {', '.join(map(repr, empty))}" if empty else ""


def _forms(message: ElementTree.Element) -> list[str]:
    return [form.text or "" for form in message.iter("numerusform")]


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--check"]:
            pass
        case []:
            update(FOLDER / "fedmed_en.ts", *PLURAL_FORMS)
        case [language] if not language.startswith("-"):
            update(FOLDER / f"fedmed_{language}.ts", "-target-language", language)
            return 0
        case _:
            print(__doc__)
            return 2
    print(outdated() or "up to date")
    return 1 if outdated() else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
