# SPDX-License-Identifier: Apache-2.0
"""Rules for the repository as a whole: licence lines, no machine or registry named, no stubs, errors with sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from fedmed_desktop.wording import SENTENCES
from tests.parts.sources import ROOT, Check, Source, files, modules, offenders

MAX_LINES = 350
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"

# Put together here, so that this file does not name them
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "download." + "pytorch.org",
    "conda." + "anaconda",
    "npmjs" + ".org",
]
HOME = "/ho" + "me/"
SOMEBODYS_HOME = re.compile(r"(?<![\w.])/(?:home|Users|root)/")
LATER = "TO" + "DO"
UNFINISHED = re.compile(r"\b(" + "|".join((LATER, "FIX" + "ME", "XX" + "X")) + r")\b")

# Beginnings that keep a reader waiting for what the thing is
RIDDLES = re.compile(
    r"(About|After|Also|As|At|Before|Beside|Between|By|During|For|From|Has|How|If|In|Inside|Into|Its?|Like|Never|Not?|"
    r"Now|Of|On|Once|Only|Over|Per|See the module|Since|So|Such|That|There|These|This|Those|To|Under|Unless|Until|Up|"
    r"Upon|What|When|Where|Whether|Which|While|Who|Whose|Why|With|Within|Without)\b"
)

PYTHON = files(".py")
TEXT = files(".py", ".toml", ".txt", ".md", ".json", ".cfg", ".yml", ".yaml", ".sh", "")
MODULES = modules()
DESCRIBED = (*MODULES, *(one for one in PYTHON if one.name.startswith("packaging/")))


def unlicensed(source: Source) -> Iterator[str]:
    if not source.text.startswith(LICENCE):
        yield "the first line is not the licence"


def registries_and_machines(source: Source) -> Iterator[str]:
    yield from (f"names {word}" for word in REGISTRIES if word in source.text)
    yield from (f"names {found}" for found in SOMEBODYS_HOME.findall(source.text))


def unfinished(source: Source) -> Iterator[str]:
    yield from (f"has a {found}" for found in UNFINISHED.findall(source.text))


def too_long(source: Source) -> Iterator[str]:
    if (lines := source.text.count("\n")) > MAX_LINES:
        yield f"{lines} lines"


def stubs(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.dump(node.exc):
            yield f"line {node.lineno} is a stub"


def riddles(source: Source) -> Iterator[str]:
    """Docstrings that do not begin with what a thing is or does."""
    for node in source.nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if RIDDLES.match(first):
                yield f"begin with a noun or a verb, such as 'Tells whether' for 'Whether': {first}"


def raised(source: Source) -> Iterator[tuple[int, str, set[str] | None]]:
    """Line, code and parameter names of each UserFacingError made in a file; None: **parameters hide them."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "UserFacingError" and node.args:
            keywords = {keyword.arg for keyword in node.keywords}
            names = None if None in keywords else {word for word in keywords if word and word != "retryable"}
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield node.lineno, part.value, names


def placeholders(sentence: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(sentence) if field is not None}


def unsaid(source: Source) -> Iterator[str]:
    """Errors without a sentence, or with one that they do not fill."""
    for line, code, names in raised(source):
        if code not in SENTENCES:
            yield f"line {line}: {code} has no sentence"
        elif names is not None and (missing := placeholders(SENTENCES[code]) - names):
            yield f"line {line}: {code} lacks {sorted(missing)}"


def missed_by_translators(source: Source) -> Iterator[str]:
    """Texts that stand inside an f-string, where lupdate does not look."""
    inside = (part for node in source.nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node))
    for call in inside:
        match call:
            case ast.Call(args=[ast.Constant(), *_]) if ast.unparse(call.func).rpartition(".")[2] in ("tr", "later"):
                yield f"line {call.lineno}: translate before the f-string"


CHECKS: dict[Check, tuple[Source, ...]] = {
    unlicensed: PYTHON,
    registries_and_machines: TEXT,
    unfinished: PYTHON,
    too_long: MODULES,
    stubs: MODULES,
    riddles: DESCRIBED,
    unsaid: MODULES,
    missed_by_translators: MODULES,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that_no_file_breaks_a_rule(check: Check) -> None:
    assert not (found := offenders(check, CHECKS[check])), found


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (unlicensed, f"\n{LICENCE}"),
        (registries_and_machines, f"see {REGISTRIES[0]}"),
        (registries_and_machines, f"open('{HOME}somebody/notes')"),
        (unfinished, f"pass  # {LATER}: the rest"),
        (too_long, "pass\n" * (MAX_LINES + 1)),
        (stubs, "def train():\n    raise NotImplementedError"),
        (stubs, "def train():\n    raise NotImplementedError('soon')"),
        (riddles, '"""What a round is."""'),
        (riddles, 'def is_open():\n    """Whether a round is open."""'),
        (riddles, 'def end():\n    """It\'s over."""'),
        (riddles, 'class Round:\n    def end(self):\n        """See the module.\n\n        And more."""'),
        (missed_by_translators, "said = f'{tr(\"none\")}: {count}'"),
        (unsaid, "raise UserFacingError('no.such.code')"),
        (unsaid, "raise errors.UserFacingError('lora.file_cut_off', size=1)"),
    ],
)
def test_that_the_check_sees_it(check: Check, text: str) -> None:
    assert offenders(check, [Source("sample.py", text)])


def test_that_there_is_something_to_look_at() -> None:
    assert {"packaging/bootstrap.py", "tests/conftest.py", "fedmed_desktop/errors.py"} <= {file.name for file in PYTHON}
    assert {"README.md", "pyproject.toml", "packaging/pins/base.txt", ".ci/run"} <= {file.name for file in TEXT}


def test_that_packaging_is_a_folder_and_no_package() -> None:
    assert not list((ROOT / "packaging").rglob("__init__.py")), "it would shadow the library of that name"


def test_that_sentences_are_sentences_and_are_used() -> None:
    said = [module.text for module in MODULES if not module.name.startswith("fedmed_desktop/wording/")]
    wrong = []
    for code, sentence in SENTENCES.items():
        if not re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", code):
            wrong.append(f"{code} is no code")
        end = sentence.rstrip(")\"'")
        if not end.endswith((".", "?")) and ": " not in end:
            wrong.append(f"{code} ends neither with a full stop nor with a command to run")
        if not any(f'"{code}"' in text for text in said):
            wrong.append(f"no module says {code}")
    assert not wrong, "\n".join(wrong)
