# SPDX-License-Identifier: Apache-2.0
"""Tokenizers with chat templates, as the families of models have them, made up and tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")

PLAIN_TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen2's."""
NOT_THINKING = PLAIN_TURNS.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}",
)
"""As Qwen3's."""
ALWAYS_THINKING = PLAIN_TURNS.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
"""As DeepSeek R1's."""
DATED = (
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "<|im_start|>system\nToday Date: {{ date_string }} {{ strftime_now('%A %d %B %Y') }}<|im_end|>\n" + PLAIN_TURNS
)
"""As Llama's and Mistral's."""
NO_ANSWERS = (
    "{% if messages[-1].role != 'user' %}{{ raise_exception('Only users speak here') }}{% endif %}" + PLAIN_TURNS
)
WITH_TOOLS = "{{ tools[0].name }}" + PLAIN_TURNS
TWICE = "{{ messages[0].content }}" + PLAIN_TURNS


def chatting(template: str | None, folder: Path, model: Path | None = None, end: str = "<|im_end|>") -> Path:
    """A model folder: the tiny model's, or only its tokenizer, with this template and end of text."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    from fedmed_desktop.resources import resource

    tokenizer = AutoTokenizer.from_pretrained(model or resource("demo_model"))
    # Tokens that a small vocabulary has anyway stand in for new ones, so that the model's embeddings suffice.
    tokenizer = _renamed(tokenizer, SPECIAL)
    tokenizer.add_tokens([AddedToken(one, special=not one.endswith("think>")) for one in SPECIAL])
    tokenizer.eos_token = end
    tokenizer.chat_template = template
    if model:
        shutil.copytree(model, folder)
    tokenizer.save_pretrained(folder)
    return folder


def _renamed(tokenizer: Any, names: tuple[str, ...]) -> Any:
    """The tokenizer with its rarest pieces under these names."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = data["model"]["vocab"]
    last = sorted(vocabulary, key=vocabulary.get)[-len(names) :]
    renamed = dict(zip(last, names, strict=True))
    data["model"]["vocab"] = {renamed.get(piece, piece): number for piece, number in vocabulary.items()}
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in data["model"]["merges"]]
    data["model"]["merges"] = [pair for pair in pairs if not {*pair, "".join(pair)} & renamed.keys()]
    return type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer.from_str(json.dumps(data)))
