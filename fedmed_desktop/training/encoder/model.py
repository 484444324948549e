# SPDX-License-Identifier: Apache-2.0
"""An encoder with a head that tags tokens: from a Hugging Face folder, or a small one from scratch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch import Tensor, nn

from ...errors import UserFacingError
from ...lora.base_model import weight_files
from ...resources import resource
from ..device import Device, default_threads
from ..library import ONLY_FILES, UNREADABLE, tokenizer_of
from .tagging import Tagger, Tags

State = dict[str, Tensor]
"""The trained weights by name, in float32 on the CPU: what travels in a federation."""

_LAYERS: Final = 4
_WIDTH: Final = 256
_HEADS: Final = 4
_CONTEXT: Final = 512  # BERT's


@dataclass
class Encoder:
    """The model of one federation, whose weights are put in before each use. One thread at a time.

    `trained`: the weights that are not frozen, sorted by name. `threads` is what torch computes with on the CPU.
    """

    model: Any
    tokenizer: Any
    tags: Tags
    device: Device
    max_tokens: int
    threads: int | None = None
    trained: dict[str, nn.Parameter] = field(init=False)
    tagger: Tagger = field(init=False)

    def __post_init__(self) -> None:
        self.trained = {name: p for name, p in sorted(self.model.named_parameters()) if p.requires_grad}
        self.tagger = Tagger(self.tokenizer, self.tags, self.max_tokens)
        self.model.to(self.device.torch)

    @classmethod
    def from_scratch(cls, tags: Tags, seed: int, device: Device, max_tokens: int = _CONTEXT) -> Encoder:
        """A small BERT with random weights, and the bundled model's tokenizer: the same seed, the same weights."""
        tokenizer = tokenizer_of(resource("demo_model"))
        config = transformers.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=_WIDTH,
            num_hidden_layers=_LAYERS,
            num_attention_heads=_HEADS,
            intermediate_size=4 * _WIDTH,
            max_position_embeddings=_CONTEXT,
            pad_token_id=tokenizer.pad_token_id,
            **_labels(tags),
        )
        with seeded(seed):
            model = transformers.BertForTokenClassification(config)
        return cls(model, tokenizer, tags, device, min(max_tokens, _CONTEXT))

    @classmethod
    def load(
        cls, folder: Path, tags: Tags, seed: int, device: Device, *, max_tokens: int, freeze_embeddings: bool
    ) -> Encoder:
        """A model folder: safetensors only, no code from the folder, no network. Its head is new, and random by `seed`.

        Raises UserFacingError if it is no model folder, its architecture is unknown, or weights are missing.
        """
        weight_files(folder)
        try:
            tokenizer = tokenizer_of(folder)
            with seeded(seed):
                model, loaded = transformers.AutoModelForTokenClassification.from_pretrained(
                    folder,
                    output_loading_info=True,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # a head for other tags
                    dtype=torch.float32,
                    **ONLY_FILES,
                    **_labels(tags),
                )
            body = f"{model.base_model_prefix}."
            absent = {*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])}
            if missing := sorted(key for key in absent if key.startswith(body)):  # random numbers would be there
                raise ValueError(f"it lacks the weights {missing[0]}" + (" and others" if len(missing) > 1 else ""))
            if freeze_embeddings:
                _embeddings(model).requires_grad_(False)
            return cls(model, tokenizer, tags, device, _longest(model, tokenizer, max_tokens))
        except torch.OutOfMemoryError:
            raise UserFacingError("training.out_of_memory", device=device.name) from None
        except UNREADABLE as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserFacingError("training.encoder_unreadable", path=str(folder), reason=reason) from error

    def use_threads(self) -> None:
        torch.set_num_threads(self.threads or default_threads())

    @property
    def bytes(self) -> int:
        """Size of the trained weights in float32: what a site sends, and what it fetches."""
        return 4 * sum(parameter.numel() for parameter in self.trained.values())

    def state(self) -> State:
        """A copy of the trained weights."""
        return {name: parameter.detach().float().cpu().clone() for name, parameter in self.trained.items()}

    @torch.no_grad()
    def put(self, state: State) -> None:
        """Puts in the trained weights of this model."""
        for name, parameter in self.trained.items():
            parameter.copy_(state[name])

    def logits(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Shape (rows, length, tags), in float32."""
        with self.device.autocast():
            found: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return found.float()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights and dropout by this seed; what others draw is as if nothing had been drawn here."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _labels(tags: Tags) -> dict[str, Any]:
    names = tags.names
    return {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}


def _embeddings(model: Any) -> nn.Module:
    """All that comes before the first layer (of BERT words, positions and their norm), else the words alone."""
    found: nn.Module = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
    return found


def _longest(model: Any, tokenizer: Any, max_tokens: int) -> int:
    """The longest input that is asked for and that the model can read.

    RoBERTa and its kin number a text's places from behind that of the padding, so that the first ones are never used.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or math.inf
    tables = [table for name, table in model.named_modules() if name.endswith(".position_embeddings")]
    unused = max(
        (table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None), default=0
    )
    return int(min(max_tokens, positions - unused, tokenizer.model_max_length))
