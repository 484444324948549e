# SPDX-License-Identifier: Apache-2.0
"""Checks that a tokenizer belongs to the model beside it: an answer can end, and each token has its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UserFacingError
from ..lora.module import shown


def check_tokens(folder: Path, tokenizer: Any, model: Any) -> None:
    """Raises UserFacingError without an end token, or where a text can become a token that the model does not know.

    Special tokens may lie beyond the model's vocabulary, as that of pictures does in a model of text: no text becomes
    one.
    """
    end, start = tokenizer.eos_token_id, tokenizer.bos_token_id
    if end is None:
        raise UserFacingError("training.no_end_token", path=str(folder))
    rows = _rows(model)
    numbers = tokenizer.get_vocab()
    if max(numbers.values(), default=0) < rows:
        return
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special} - {end, start}
    beyond = [(number, token) for token, number in numbers.items() if number >= rows and number not in special]
    if beyond:
        number, token = min(beyond)
        raise UserFacingError("training.vocabulary", path=str(folder), token=shown(token), number=number, rows=rows)


def _rows(model: Any) -> int:
    """Tokens that the model both reads and writes."""
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    return min(int(table.weight.shape[0]) for table in tables if table is not None)
