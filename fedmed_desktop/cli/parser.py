# SPDX-License-Identifier: Apache-2.0
"""Parser of a mode's options: a mistake is answered by one sentence that says what to do, not by the whole usage."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

# What argparse says, and what is said instead; what is not here stands as it is.
_PLAIN: Final = [
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"the following arguments are required: (?P<names>.+)", "missing: {names}"),
        (r"one of the arguments (?P<names>.+) is required", "one of these is needed: {names}"),
        (r"argument (?P<name>.+?): not allowed with argument (?P<other>.+)", "{name} and {other} do not go together"),
        (r"argument (?P<name>.+?): invalid (int|float) value: (?P<given>.+)", "{name}: {given} is not a number"),
        (
            r"argument (?P<name>.+?): invalid choice: (?P<given>.+) \(choose from (?P<choices>.+)\)",
            "{name}: there is no {given}; choose one of {choices}",
        ),
        (r"argument (?P<name>.+?): expected one argument", "{name} needs a value after it"),
        (r"argument (?P<name>.+?): expected at least one argument", "{name} needs a value after it"),
        (r"argument (?P<name>.+?): expected (?P<count>\d+) arguments", "{name} needs {count} values after it"),
        (r"argument (?P<name>.+?): ignored explicit argument .+", "{name} takes no value"),
        (r"argument (?P<rest>.+)", "{rest}"),
    )
]


class Parser(argparse.ArgumentParser):
    """Options in full, never abbreviated; an unknown one is answered with the one that is spelt most like it."""

    def __init__(self, *, prog: str, **settings: Any) -> None:
        super().__init__(prog=prog, allow_abbrev=False, **settings)

    def parse_args(  # type: ignore[override]  # one signature for all of argparse's
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """The options; leaves with a sentence where one is unknown, missing or has a wrong value."""
        given = sys.argv[1:] if args is None else args
        # Before what is missing: it may be there, misspelt.
        if unknown := [name for name in map(_name, given) if name and name not in self._option_string_actions]:
            self.error(_unknown(unknown[0], self._option_string_actions))
        found, rest = self.parse_known_args(given, namespace)
        if rest:
            self.error(self._too_many(rest[0]))
        return found

    def _too_many(self, word: str) -> str:
        ways = [flag for flag in ("--invitation", "--join") if flag in self._option_string_actions]
        if ways and (word.startswith("fedmed:") or word.endswith(".fedmed")):
            return f"an invitation comes after {ways[0]}"
        return f"{word!r} is one word too many; what holds blanks needs quotation marks around it"

    def error(self, message: str) -> NoReturn:
        """Leaves with the sentence and where the options are listed."""
        for pattern, plain in _PLAIN:
            if told := pattern.fullmatch(message):
                parts = {name: part.strip() for name, part in told.groupdict().items()}
                if "choices" in parts:
                    parts["choices"] = parts["choices"].replace("'", "")
                message = plain.format(**parts)
                break
        end = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: {message}{end} All options: {self.prog} --help\n")


def _name(word: str) -> str:
    """The option that a word names; empty for any other word."""
    return word.partition("=")[0] if re.match(r"-[^\d.]", word) and word != "--" else ""


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # here, where somebody has erred: starting need not wait for it

    near = get_close_matches(name, list(known), n=1)
    return f"there is no option {name} here" + (f". Did you mean {near[0]}?" if near else "")
