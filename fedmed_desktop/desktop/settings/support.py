# SPDX-License-Identifier: Apache-2.0
"""Content of a support bundle, as values: texts by the name of their file, with all taken out that is nobody's matter.

Of the log: times, levels and sentences, places in the program's own files, and kinds of errors. Out go names of files
and folders, words in quotation marks, what an error says of itself (it may quote a note), invitations and passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ...site.proxy import SYSTEM
from ..work.settings import Settings

MOST_LINES: Final = 400
_ENTRY: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")
_PLACE: Final = re.compile(r'^\s*File "[^"]*?(fedmed_desktop[^"]*|[^"/\\]+)", line (\d+),? in (\S+)')
_KIND: Final = re.compile(r"^([\w.]+(?:Error|Exception|Interrupt|Stopped|Exit|Group))\b")
_HIDDEN: Final = (
    (re.compile(r"fedmed:\S+", re.IGNORECASE), "<invitation>"),
    (re.compile(r"//[^/\s@]+@"), "//<hidden>@"),
    (re.compile(r"\"[^\"]*\"|“[^”]*”|'[^'\s][^']*'"), "<words>"),
    (re.compile(r"(?<![\w:/.])(?:[A-Za-z]:[\\/]|~?/|\\\\)[^\s:;,)]*"), "<path>"),
    (re.compile(r"[\w.-]+\.(?:jsonl?|csv|tsv|xlsx?|parquet|txt|ann|toml|sqlite|gz|pdf|xml|conll)\b"), "<file>"),
)


def hidden(text: str) -> str:
    """One line without invitations, passwords, quoted words and names of files."""
    for pattern, put in _HIDDEN:
        text = pattern.sub(put, text)
    return text


def log_part(log: str) -> str:
    """The last lines of a log, as they may be shown to somebody."""
    return "\n".join(list(_lines(log))[-MOST_LINES:])


def _lines(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if _ENTRY.match(line):
            yield hidden(line)
        elif place := _PLACE.match(line):
            yield f"    {place[1]}, line {place[2]}, in {place[3]}"
        elif kind := _KIND.match(line):
            yield f"  {kind[1]}"


def settings_part(values: Settings) -> str:
    """Settings that may matter to who helps; neither names nor folders."""
    proxy = values.proxy if values.proxy in (SYSTEM, "none") else "one of its own"
    joined = values.joined
    told: Mapping[str, object] = {
        "appearance": values.appearance,
        "language": values.language,
        "text size": f"{values.text_scale:.0%}",
        "cores for training": values.cores or "all but one",
        "proxy": proxy,
        "has joined": "yes" if joined else "no",
        "goes on at the next start": "yes" if values.rejoin else "no",
    }
    return "\n".join(f"{name}: {value}" for name, value in told.items() if value != "-")


def told_part(facts: Mapping[str, str]) -> str:
    """Names and values, one in a line."""
    return "\n".join(f"{name}: {value}" for name, value in facts.items())


def preview(parts: Mapping[str, str]) -> str:
    """Everything that the bundle holds, file by file, to the last letter."""
    return "\n\n".join(f"=== {name} ===\n{text}" for name, text in parts.items())
