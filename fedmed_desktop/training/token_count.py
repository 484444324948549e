# SPDX-License-Identifier: Apache-2.0
"""Token counts by a base model's own tokenizer, without the model and without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import UserFacingError


def token_counter(folder: Path) -> Callable[[str], int]:
    """Counts a text's tokens, without start and end. Raises UserFacingError("training.model_unreadable")."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library raises nothing more precise; its message may be a parser's
        reason = "it has no tokenizer.json that can be read"
        raise UserFacingError("training.model_unreadable", path=str(folder), reason=reason) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))
