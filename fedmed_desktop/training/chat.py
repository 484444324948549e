# SPDX-License-Identifier: Apache-2.0
"""The chat template of a base model as a frame of tokens around any prompt.

The template is filled in with a word of ours once, and the prompt put where that word stands: so the template's special
tokens are tokens, and no word of a note ever is. It is filled in with one fixed date, for some templates tell the model
which day it is, and the same note must be the same tokens on every day and at every site; and, where it asks, without
thinking aloud. A thought that it opens all the same is closed again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from ..clinical.answers import THINK, THOUGHT
from ..errors import UserFacingError
from ..lora.base_model import has_chat_template

Prompting = Literal["plain", "chat"]
"""How prompts go to the model: as they are, or through its template."""

_PROMPT: Final = "QZXPROMPTQZX"
_ANSWER: Final = "QZXANSWERQZX"
_FAILED: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
_DATE: Final = "26 Jul 2024"  # what Llama's template says where it knows no date
_DATE_PARTS: Final = {
    "%Y": "2024", "%y": "24", "%m": "07", "%d": "26", "%B": "July", "%b": "Jul", "%A": "Friday", "%a": "Fri",
    "%H": "12", "%I": "12", "%M": "00", "%S": "00", "%p": "PM",
}  # fmt: skip
# Stands before the template and hides the library's function of this name, which reads the clock (and the locale).
_FIXED_CLOCK: Final = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f'|replace("{code}", "{part}")' for code, part in _DATE_PARTS.items())
    + " }}{%- endmacro +%}"
)


@dataclass(frozen=True)
class Frame:
    """Tokens before and after a prompt, up to where the answer begins, and the token that ends the answer."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    end: int

    @property
    def sha256(self) -> str:
        """Identity of the template, as far as prompts and answers show it."""
        return hashlib.sha256(json.dumps([self.before, self.after, self.end]).encode()).hexdigest()


@lru_cache(maxsize=4)
def chat_frame(tokenizer: Any) -> Frame:
    """The frame of this tokenizer's template. Raises UserFacingError if it has none, or one that cannot be used."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise UserFacingError("training.no_chat_template")
    asked = {"role": "user", "content": _PROMPT}
    try:
        opened = _filled_in(tokenizer, [asked], add_generation_prompt=True)
        closed = _filled_in(tokenizer, [asked, {"role": "assistant", "content": _ANSWER}])
    except (TemplateError, *_FAILED) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserFacingError("training.chat_template", reason=reason[:200]) from None
    if opened.count(_PROMPT) != 1 or closed.count(_ANSWER) != 1:
        raise UserFacingError("training.chat_template", reason="it does not show each message once, as it is")
    before, _, after = opened.partition(_PROMPT)
    if after.rstrip().endswith(THINK):
        after = f"{after.rstrip()}\n\n{THOUGHT}\n\n"
    end = _end(tokenizer, closed.partition(_ANSWER)[2])
    if end is None:
        raise UserFacingError("training.chat_template", reason="nothing in it ends an answer")
    return Frame(_tokens(tokenizer, before), _tokens(tokenizer, after), end)


def checked_frame(tokenizer: Any, prompting: Prompting, sha256: str | None) -> None:
    """Raises UserFacingError where a federation's prompts go through a template that is not this tokenizer's."""
    if prompting == "chat" and chat_frame(tokenizer).sha256 != sha256 is not None:
        raise UserFacingError("training.other_chat_template")


@lru_cache(maxsize=4)
def end_of_turn(tokenizer: Any) -> int | None:
    """The token by which the template ends an answer; None without a template that can be used."""
    try:
        return chat_frame(tokenizer).end if tokenizer.chat_template else None
    except UserFacingError:
        return None


def found_prompting(folder: Path, wanted: Prompting | Literal["auto"]) -> tuple[Prompting, str | None]:
    """The way in which a new federation's prompts go to this model, and its template's identity where through that.

    "auto": through the template of a model that was made to end its answers by it. Many a base model carries the
    template of its tuned sibling, but ends a text otherwise. Raises UserFacingError.
    """
    from .library import tokenizer_of, unreadable

    if wanted == "plain" or (wanted == "auto" and not has_chat_template(folder)):
        return "plain", None
    try:
        tokenizer = tokenizer_of(folder)
    except (OSError, RuntimeError, *_FAILED) as error:
        raise unreadable(folder, error) from None
    frame = chat_frame(tokenizer)
    if wanted == "auto" and frame.end not in {tokenizer.eos_token_id, *_settings_end(folder)}:
        return "plain", None
    return "chat", frame.sha256


def _settings_end(folder: Path) -> list[int]:
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        try:
            named = json.loads((folder / name).read_text("utf-8")).get("eos_token_id")
        except (OSError, ValueError, AttributeError):
            continue
        found += [one for one in (named if isinstance(named, list) else [named]) if isinstance(one, int)]
    return found


def _filled_in(tokenizer: Any, messages: list[dict[str, str]], add_generation_prompt: bool = False) -> str:
    return str(
        tokenizer.apply_chat_template(
            messages,
            chat_template=_FIXED_CLOCK + tokenizer.get_chat_template(),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            date_string=_DATE,
            enable_thinking=False,
        )
    )


def _end(tokenizer: Any, tail: str) -> int | None:
    """The special token right behind an answer, else the tokenizer's end of text."""
    first = _tokens(tokenizer, tail.lstrip())[:1]
    if first and first[0] in tokenizer.added_tokens_decoder:
        return first[0]
    end: int | None = tokenizer.eos_token_id
    return end


def _tokens(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
