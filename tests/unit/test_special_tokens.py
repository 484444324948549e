# SPDX-License-Identifier: Apache-2.0
"""Words of a note that look like a tokenizer's special tokens are words, in prompt and answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.clinical import Entity, Note, parse_answer
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.resources import resource

SPECIAL = ("<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>", "[MASK]")


def bundled() -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(resource("demo_model"))


def chatty() -> Any:
    """A tokenizer with many special tokens, among them some that were added after its training."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["### Task: markup", "Stop aspirin, start heparin."], trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", mask_token="[MASK]"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]})
    return fast


@pytest.mark.parametrize("form", ["html", "json"])
@pytest.mark.parametrize("word", SPECIAL)
@pytest.mark.parametrize("make", [bundled, chatty])
def test_that_a_taught_answer_finds_every_entity_of_a_note_that_holds_special_tokens(
    make: Any, word: str, form: Any
) -> None:
    from fedmed_desktop.training.batches import Encoder

    tokenizer = make()
    text = f"Stop {word}aspirin{word}, start heparin."
    entities = tuple(
        Entity(id=one, start=text.index(one), end=text.index(one) + len(one), type="drug", text=one)
        for one in ("aspirin", "heparin")
    )
    example = (
        Encoder(tokenizer, [Entities(("drug",), form)])
        .encode([Note(id="n", text=text, entities=entities)], 4096)
        .items[0]
    )
    special = set(tokenizer.all_special_ids)
    *answer, end = example.answer
    assert end == tokenizer.eos_token_id
    assert not special & set(answer)
    assert not special & set(example.prompt[1:])  # the first may be the start token
    found = parse_answer(tokenizer.decode(answer, skip_special_tokens=True), text, ("drug",), form)
    assert [text[one.start : one.end] for one in found] == ["aspirin", "heparin"]


def test_that_an_answer_keeps_its_blanks_whatever_the_tokenizers_settings_ask_for(tmp_path: Path) -> None:
    from fedmed_desktop.training.library import tokenizer_of
    from fedmed_desktop.training.plain_text import text_tokens

    chatty().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    asked = ("clean_up_tokenization_spaces", "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | dict.fromkeys(asked, True)))
    tokenizer = tokenizer_of(tmp_path)
    assert (
        tokenizer.decode(text_tokens(tokenizer, "Stop aspirin , start heparin .")) == "Stop aspirin , start heparin ."
    )


def test_that_a_text_to_be_learnt_as_it_is_holds_no_special_token_but_its_ends() -> None:
    from fedmed_desktop.training.batches import Encoder

    tokenizer = chatty()
    (example,) = Encoder(tokenizer, ()).encode([Note(id="n", text="a </s> b <|im_end|> c")], 4096).items
    tokens = (*example.prompt, *example.answer)
    assert [at for at, token in enumerate(tokens) if token in tokenizer.all_special_ids] == [len(tokens) - 1]
