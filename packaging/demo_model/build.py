# SPDX-License-Identifier: Apache-2.0
"""Make the small demo model from openly licensed text: python packaging/demo_model/build.py --data DIR --out DIR."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from annotated_exercises import annotated_lines
from open_texts import read_texts
from pretraining import Recipe, demo_config, load_or_create, train
from transformers import Qwen3Config

# glibc gives every large tensor back to the kernel and pays page faults for the next one: on a virtual machine,
# keeping the memory was measured 1.5 times as fast, and far more where the host had to find the pages first. Only read
# when a process starts.
KEEP_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    # One heap: with several, what one thread frees is of no use to the others, and memory grows by the minute.
    "MALLOC_ARENA_MAX": "1",
}


def build(data: Path, out: Path, recipe: Recipe, config: Qwen3Config, start: Path | None = None) -> float:
    """Read the texts, take or make the starting weights, train, and leave the model in `out`; returns the last loss.

    Raises FileNotFoundError when a corpus or the starting folder is missing.
    """
    texts, dropped = read_texts(data)
    print(f"{len(texts)} texts, {dropped} dropped for a sentence of a held-out document", flush=True)
    print(dict(Counter(text.corpus for text in texts)), flush=True)
    model, tokenizer = load_or_create(start, texts, recipe.seed, config)
    loss = train(model, tokenizer, texts, annotated_lines(data), recipe, out)
    print(f"done, loss {loss:.3f}", flush=True)
    return loss


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora (gzip'd JSON lines)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, rewritten at every checkpoint")
    parser.add_argument("--start", type=Path, help="folder whose tokenizer and weights are trained on")
    parser.add_argument("--tokens", type=int, default=24_000_000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, also with fewer tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    recipe = Recipe(
        tokens=given.tokens,
        seed=given.seed,
        peak_lr=3e-3 if given.start is None else 1.5e-3,
        warmup_steps=100 if given.start is None else 50,
        checkpoint_minutes=given.checkpoint_minutes,
        minutes=given.minutes,
        compiled=shutil.which("g++") is not None,
    )
    build(given.data, given.out, recipe, demo_config(), given.start)


if __name__ == "__main__":
    if sys.platform == "linux" and not KEEP_MEMORY.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)
    main()
