# SPDX-License-Identifier: Apache-2.0
"""Tokenizer, packing and the training loop of the demo model, on a CPU."""

from __future__ import annotations

import math
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from annotated_exercises import AnnotatedLine, annotated_exercise
from markup_exercises import Exercise, make_exercise
from open_texts import Text, exercise_sentences
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SPECIALS: Final = ("<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>")
END: Final = 0
ANNOTATED_SHARE: Final = 0.35


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run; sizes in tokens, times in minutes."""

    tokens: int
    seed: int = 0
    sequence: int = 320
    batch: int = 12
    peak_lr: float = 3e-3
    warmup_steps: int = 100
    final_share: float = 0.03
    weight_decay: float = 0.05
    text_only_share: float = 0.1
    checkpoint_minutes: float = 5.0
    minutes: float = math.inf
    compiled: bool = False


def demo_config(vocabulary: int = 4096, layers: int = 6, width: int = 256) -> Qwen3Config:
    """The Qwen3 architecture at demo size: heads of 32, half as many key-value heads, feed-forward three widths."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        head_dim=32,
        intermediate_size=3 * width,
        max_position_embeddings=2048,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        tie_word_embeddings=True,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=1,
    )


def train_tokenizer(texts: list[Text], seed: int, vocabulary: int = 4096) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the texts and 12,000 exercises, so that the mark-up takes few tokens."""
    rng = random.Random(seed)
    pool = [sentence for group in exercise_sentences(texts).values() for sentence in group]
    drawn = (make_exercise(rng.choice(pool), rng) for _ in range(12_000))
    exercises = (f"{exercise.prompt} {exercise.answer}" for exercise in drawn)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*(text.text for text in texts), *exercises], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIALS[0], pad_token=SPECIALS[1])


def load_or_create(
    start: Path | None, texts: list[Text], seed: int, config: Qwen3Config
) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """Weights (float32) and tokenizer of the folder `start`, or fresh ones of the given size."""
    if start is not None:
        model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32, local_files_only=True)
        return model, AutoTokenizer.from_pretrained(start, local_files_only=True)
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(config), train_tokenizer(texts, seed, config.vocab_size)


def text_tokens(texts: list[Text], tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Iterator[int]:
    """Endless tokens of the shuffled texts, each as often as its weight, ended by END."""
    encoded = tokenizer([text.text for text in texts], add_special_tokens=False)["input_ids"]
    order = [at for at, text in enumerate(texts) for _ in range(text.weight)]
    while True:
        rng.shuffle(order)
        for at in order:
            yield from encoded[at]
            yield END


def exercise_tokens(
    texts: list[Text],
    annotated: Sequence[AnnotatedLine],
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    longest: int,
) -> Iterator[list[int]]:
    """Endless exercises as tokens, at most `longest` each: ANNOTATED_SHARE of them from annotated lines.

    Every second one of the others is from the sentences of highest weight.
    """
    groups = list(exercise_sentences(texts).values())

    def draw() -> Exercise:
        if annotated and rng.random() < ANNOTATED_SHARE:
            return annotated_exercise(rng.choice(annotated), rng)
        return make_exercise(rng.choice(rng.choice(groups)), rng)

    while True:
        drawn = [draw() for _ in range(256)]
        lines = [f"{exercise.prompt} {exercise.answer}" for exercise in drawn]
        for tokens in tokenizer(lines, add_special_tokens=False)["input_ids"]:
            if len(tokens) < longest:
                yield [*tokens, END]


def packed_batches(
    texts: list[Text], annotated: Sequence[AnnotatedLine], tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[torch.Tensor]:
    """Batches of shape (batch, sequence), int64: whole exercises and text in the room that is left.

    An exercise is never cut: an answer whose input lies in another sequence would teach guessing instead of copying.
    """
    rng = random.Random(recipe.seed)
    prose = text_tokens(texts, tokenizer, rng)
    exercises = exercise_tokens(texts, annotated, tokenizer, rng, recipe.sequence)
    waiting = next(exercises)
    while True:
        rows = []
        for _ in range(recipe.batch):
            whole: list[int] = []
            if rng.random() >= recipe.text_only_share:
                while len(whole) + len(waiting) <= recipe.sequence:
                    whole += waiting
                    waiting = next(exercises)
            filling = [next(prose) for _ in range(recipe.sequence - len(whole))]
            rows.append(filling + whole if rng.random() < 0.5 else whole + filling)
        yield torch.tensor(rows)


def train(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[Text],
    annotated: Sequence[AnnotatedLine],
    recipe: Recipe,
    out: Path,
) -> float:
    """Train until `tokens` or `minutes` are used up, saving on the way; returns the mean loss of the last steps.

    The learning rate follows whichever of the two budgets is used up further, so a run on a busy machine still ends
    with small steps. Deterministic for one machine, build and thread count when `minutes` is not given.
    """
    steps = max(1, recipe.tokens // (recipe.sequence * recipe.batch))
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.peak_lr, betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True
    )
    batches = packed_batches(texts, annotated, tokenizer, recipe)
    began = saved = time.monotonic()
    losses: list[torch.Tensor] = []
    model.train()
    forward: torch.nn.Module = torch.compile(model) if recipe.compiled else model  # type: ignore[assignment]
    for step in range(steps):
        used = max(step / steps, (time.monotonic() - began) / 60 / recipe.minutes)
        if used >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, used)
        losses.append(train_step(forward, optimiser, next(batches)))
        if step % 20 == 19 or step == steps - 1:
            report(step + 1, steps, recipe, losses, time.monotonic() - began)
        if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
            save(model, tokenizer, out)
            saved = time.monotonic()
    save(model, tokenizer, out)
    return torch.stack(losses[-100:]).mean().item()


def learning_rate(recipe: Recipe, step: int, used: float) -> float:
    """Linear warm-up, then a cosine from the peak down to `final_share` of it; `used` is the share of the run done."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, used)))
    falling = recipe.final_share + (1 - recipe.final_share) * cosine
    return recipe.peak_lr * min(1.0, (step + 1) / max(1, recipe.warmup_steps)) * falling


def train_step(model: torch.nn.Module, optimiser: torch.optim.Optimizer, batch: torch.Tensor) -> torch.Tensor:
    """One step on a batch of shape (batch, sequence); the loss is a detached scalar (no wait, no copy)."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
    loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), batch[:, 1:].reshape(-1))
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss.detach()


def report(step: int, steps: int, recipe: Recipe, losses: list[torch.Tensor], seconds: float) -> None:
    """One line on the run so far; the loss is the mean of the last 20 steps."""
    tokens = step * recipe.sequence * recipe.batch
    loss = torch.stack(losses[-20:]).mean().item()
    print(f"step {step}/{steps} tokens {tokens:,} loss {loss:.3f} tokens/s {tokens / seconds:,.0f}", flush=True)


def save(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write weights (bfloat16), configuration and tokenizer; `out` holds a whole model at every moment but a rename's.

    Weights only: the optimiser's state is not kept, a killed run can be used or started from but not resumed.
    """
    temporary, old = out.with_name(f"{out.name}.tmp-{os.getpid()}"), out.with_name(f"{out.name}.old-{os.getpid()}")
    copy = AutoModelForCausalLM.from_config(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    if out.exists():
        out.rename(old)
    temporary.rename(out)
    shutil.rmtree(old, ignore_errors=True)
