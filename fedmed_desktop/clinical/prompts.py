# SPDX-License-Identifier: Apache-2.0
"""Entity extraction as an instruction: the prompt, and the answer that a model is trained to give.

Two answer forms, after the instruction templates of Fed-MedLoRA (arXiv 2601.22124, in the authors' code): "html" is the
text again with `<span class="drug">...</span>` around each mention, "json" a list of objects with "entity" and "text".
The wording is shorter than the authors', for small models:

    ### Task: markup
    ### Classes: drug, problem
    ### Input: Aspirin for pain.
    ### Output: <span class="drug">Aspirin</span> for <span class="problem">pain</span>.

A prompt ends with the blank after "Output:". Training and generation tokenise prompt and answer apart, so that both see
the same tokens there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Final, Literal

from .notes import Entity, Note

AnswerForm = Literal["html", "json"]

_TASKS: Final[dict[AnswerForm, str]] = {"html": "markup", "json": "json"}
# Everything that str.splitlines splits at: the input is one line of the prompt.
_LINE_BREAK: Final = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_MENTION: Final = re.compile(r'<span\b|\{"entity"')
_OWN_MARKUP: Final = re.compile(r"<(?=\s*+/?\s*span)", re.IGNORECASE)


def shown(text: str) -> str:
    """The text as the model sees it, of the same length, so that offsets hold.

    Line breaks become blanks, and "<" before "span" or "/span" becomes "‹": in an answer only the model's own mark-up
    may look like mark-up. All else is verbatim.
    """
    return _OWN_MARKUP.sub("‹", _LINE_BREAK.sub(" ", text))


def build_prompt(note_text: str, types: Iterable[str], form: AnswerForm) -> str:
    """The instruction for one text. `types` are the classes asked for, in any order; the prompt has them sorted."""
    classes = ", ".join(sorted(set(types)))
    return f"### Task: {_TASKS[form]}\n### Classes: {classes}\n### Input: {shown(note_text)}\n### Output: "


def build_answer(note: Note, types: Collection[str], form: AnswerForm) -> str:
    """The answer for a note, with its entities of `types`. Raises ValueError where these overlap: see apply_types."""
    entities = sorted((e for e in note.entities if e.type in types), key=lambda e: e.start)
    for left, right in pairwise(entities):
        if right.start < left.end:
            raise ValueError(f"entities overlap at offset {right.start}")
    text = shown(note.text)
    if form == "json":
        return json.dumps([{"entity": e.type, "text": text[e.start : e.end]} for e in entities], ensure_ascii=False)
    return _marked_up(text, entities)


def mention_starts(answer: str) -> list[int]:
    """Places in a right answer of any form, of entities or relations, where the mark of a mention begins."""
    return [match.start() for match in _MENTION.finditer(answer)]


def _marked_up(text: str, entities: list[Entity]) -> str:
    pieces: list[str] = []
    done = 0
    for entity in entities:
        words = text[entity.start : entity.end]
        pieces += [text[done : entity.start], f'<span class="{entity.type}">{words}</span>']
        done = entity.end
    return "".join([*pieces, text[done:]])
