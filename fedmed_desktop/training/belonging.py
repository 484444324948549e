# SPDX-License-Identifier: Apache-2.0
"""Checks of a loaded model: an answer can end, each token of its tokenizer has its numbers, and it reads in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import UserFacingError
from ..lora.module import shown

_ALIKE = 0.05  # of the difference at the last token; rounding in half precision is far less (inferred)


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


@torch.inference_mode()
def check_order(folder: Path, model: Any, device: torch.device) -> None:
    """Raises UserFacingError where what a model writes behind a token depends on tokens after it: in training it would
    see the answer. Tried with two texts that differ in their last token."""
    tokens = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]], device=device)
    logits = model(input_ids=tokens, use_cache=False).logits.float()
    apart = (logits[0] - logits[1]).abs().amax(-1)
    if apart[:-1].max() > _ALIKE * apart[-1]:
        raise UserFacingError("model.reads_ahead", path=str(folder), kind=model.config.model_type)


def _rows(model: Any) -> int:
    """Tokens that the model both reads and writes."""
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    return min(int(table.weight.shape[0]) for table in tables if table is not None)
