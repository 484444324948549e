# SPDX-License-Identifier: Apache-2.0
"""Text as tokens, with no special token among them, whatever the text says.

A note may contain "</s>" or "<|im_end|>". Read as a token it would end the taught answer in its middle, and vanish when
an answer is decoded. So text is encoded by a copy of the tokenizer in which such tokens have names that no text has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

# Not marked as special by some families, but meant for the program: <think>, [INST], <tool_call>.
_CONTROL: Final = re.compile(r"\s*[<\[{|].*[>\]}|]\s*", re.DOTALL)


def text_tokens(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text; the tokenizer's own `decode` gives it back."""
    plain = _plain(tokenizer)
    if plain is None:
        return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    return list(plain.encode(text, add_special_tokens=False).ids)


def text_offsets(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a text, each with the characters that it stands for. Raises ValueError if it cannot tell them."""
    plain = _plain(tokenizer)
    if plain is None:
        raise ValueError("the tokenizer does not tell the characters of its tokens")
    found = plain.encode(text, add_special_tokens=False)
    return list(found.ids), list(found.offsets)


@lru_cache(maxsize=4)
def _plain(tokenizer: Any) -> Any:
    """The copy for this tokenizer, with the same ids; None for one that is not of the tokenizers library."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    data = json.loads(backend.to_str())
    special = set(tokenizer.all_special_tokens)
    hidden = {
        token["content"]
        for token in data["added_tokens"]
        if token["special"] or token["content"] in special or _CONTROL.fullmatch(token["content"])
    }
    # Renamed rather than removed: ids of added tokens follow from their order.
    names = {content: uuid4().hex + content for content in hidden}
    for token in data["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    _rename(data["model"], names)
    return backend.from_str(json.dumps(data | {"post_processor": None, "truncation": None, "padding": None}))


def _rename(model: dict[str, Any], names: dict[str, str]) -> None:
    """Renames them in the vocabulary too, where Unigram and whole-word look-ups would find them."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _makes(merge, names)]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])


def _makes(merge: str | list[str], names: Collection[str]) -> bool:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left in names or right in names or left + right in names
