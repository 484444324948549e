# SPDX-License-Identifier: Apache-2.0
"""TRL's SFTTrainer as a peer of training_step.py, also on a model that Unsloth has loaded; in their own environment.

    python3 -m venv VENV && VENV/bin/pip install . trl        # or: unsloth, where there is a GPU
    .venv/bin/python packaging/benchmarks/training_step.py --peers VENV/bin/python [...]

training_step.py starts this with its own arguments. The adapters, notes, labels, optimizer and schedule are those of
its other arms; batches are at random, as SFTTrainer draws them. Layers are not computed anew, which is faster: it is
TRL's default to do so. The adapter's first values are the library's own here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

if "unsloth" in sys.argv:
    import unsloth  # before transformers, which it changes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["TQDM_DISABLE"] = "1"

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from shapes import LINEARS, RANK, base_of, examples_of
from training_step import Watch, arguments, batches_of, optimizers, outcome
from trl import SFTConfig, SFTTrainer

from fedmed_desktop.training.batches import Examples
from fedmed_desktop.training.device import choose_device, peak_resident_mib

MOST_TOKENS: Final = 4096


def main() -> int:
    options = arguments()
    of_unsloth = options.arm == "unsloth"
    device = choose_device("nf4" if options.nf4 and not of_unsloth else None, options.device)
    base = base_of(options.shape, device, options.threads)
    examples = examples_of(base, max(options.batch * options.steps, 64), options.tokens)
    before = 0.0 if options.device == "cuda" else peak_resident_mib()
    model = by_unsloth(base, options.nf4) if of_unsloth else base.model
    if not of_unsloth:
        model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(LINEARS)))
    watch = Watch(options.device)
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            folder, per_device_train_batch_size=options.batch, max_steps=options.steps, max_grad_norm=1.0,
            logging_steps=1, report_to=[], save_strategy="no", use_cpu=options.device == "cpu", disable_tqdm=True,
            bf16=device.dtype == torch.bfloat16, gradient_checkpointing=False, max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )  # fmt: skip
        SFTTrainer(
            model, settings, train_dataset=rows_of(examples, options), processing_class=base.tokenizer,
            optimizers=optimizers(model, options.steps), callbacks=[watch],
        ).train()  # fmt: skip
    print(json.dumps(outcome(base, examples, options, before, watch.seconds, watch.losses)))
    return 0


def rows_of(examples: Examples, options: argparse.Namespace) -> Dataset:
    """Tokens and labels of what the other arms train on: the prompt has none."""
    items = [examples.items[i] for batch in batches_of(examples, options) for i in batch]
    rows = [{"input_ids": [*e.prompt, *e.answer], "labels": [-100] * len(e.prompt) + list(e.answer)} for e in items]
    return Dataset.from_list(rows)


def by_unsloth(base: Any, nf4: bool) -> Any:
    """The same weights, loaded by Unsloth from a folder, since only there does it change a model."""
    with tempfile.TemporaryDirectory() as folder:
        base.model.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        base.model.to("meta")  # one of the two on the device
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        model, _ = unsloth.FastLanguageModel.from_pretrained(
            folder, max_seq_length=MOST_TOKENS, load_in_4bit=nf4, dtype=base.device.dtype
        )
    return unsloth.FastLanguageModel.get_peft_model(
        model, r=RANK, lora_alpha=2 * RANK, target_modules=list(LINEARS), use_gradient_checkpointing=False
    )


if __name__ == "__main__":
    sys.exit(main())
