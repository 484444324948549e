# SPDX-License-Identifier: Apache-2.0
"""Note text is never encoded as a special token, in tokenizers of every family, and taught answers come back whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from fedmed_desktop.clinical import Entity, Note, parse_answer
from fedmed_desktop.clinical.tasks import Entities

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from transformers import PreTrainedTokenizerFast

    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.plain_text import text_tokens


NAMED = ["<unk>", "<s>", "</s>", "<|im_end|>"]
ADDED = ["<think>", "[INST]", "warfarin"]  # not special: two control tokens and a word
BYTES = pre_tokenizers.ByteLevel.alphabet()
CORPUS = ["took heparin for pain and warfarin for stroke", "the text of a note, with a span", "<s>x</s> [INST]"] * 3


def _byte_level() -> Tokenizer:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=NAMED, initial_alphabet=BYTES, show_progress=False)
    )
    return raw


def _merged() -> Tokenizer:
    """Its merges make "</s>", as those of a vocabulary that was trained on such text."""
    vocabulary = {piece: number for number, piece in enumerate([*NAMED, *sorted(BYTES), "</", "s>"])}
    raw = Tokenizer(models.BPE(vocabulary, [("<", "/"), ("s", ">"), ("</", "s>")]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(NAMED)
    return raw


def _sentencepiece() -> Tokenizer:
    pieces = [*NAMED, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    raw = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    raw.add_special_tokens(NAMED)
    return raw


def _unigram() -> Tokenizer:
    pieces = [(name, 0.0) for name in NAMED] + [(piece, -3.0) for piece in ["▁", *map(chr, range(33, 127))]]
    raw = Tokenizer(models.Unigram(pieces, unk_id=0))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    raw.add_special_tokens(NAMED)
    return raw


FAMILIES = [_byte_level, _merged, _sentencepiece, _unigram]


def made(family: Callable[[], Tokenizer]) -> Any:
    raw = family()
    raw.add_tokens([AddedToken(content, normalized=False) for content in ADDED])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("token", [*NAMED, "<think>", "[INST]"])
def test_that_a_token_s_name_in_a_text_is_text(family: Callable[[], Tokenizer], token: str) -> None:
    tokenizer = made(family)
    text = f"took {token}heparin {token} for pain{token}"
    assert tokenizer.convert_tokens_to_ids(token) in tokenizer(text)["input_ids"]  # as it is read without care
    tokens = text_tokens(tokenizer, text)
    assert tokenizer.convert_tokens_to_ids(token) not in tokens
    assert tokenizer.decode(tokens, skip_special_tokens=True) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_that_text_without_such_names_is_encoded_as_ever(family: Callable[[], Tokenizer]) -> None:
    tokenizer = made(family)
    text = 'took heparin, then warfarin <span class="drug">, [sic] a < b >'
    tokens = text_tokens(tokenizer, text)
    assert tokens == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_tokens_to_ids("warfarin") in tokens


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["html", "json"])
def test_that_taught_answers_come_back_whole(family: Callable[[], Tokenizer], form: Any) -> None:
    tokenizer = made(family)
    text = "Stop <s>aspirin</s>, [INST] start heparin<|im_end|> now."
    words = ("aspirin", "heparin", "now")
    entities = tuple(Entity(id=w, start=text.index(w), end=text.index(w) + len(w), type="drug", text=w) for w in words)
    [example] = (
        Encoder(tokenizer, [Entities(("drug",), form)]).encode([Note(id="n", text=text, entities=entities)], 4096).items
    )
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not special & set(example.answer[:-1]) and example.answer[-1] == tokenizer.eos_token_id
    assert not special & set(example.prompt)
    answer = tokenizer.decode(example.answer, skip_special_tokens=True)
    assert parse_answer(answer, text, ("drug",), form) == [entity.span for entity in entities]
