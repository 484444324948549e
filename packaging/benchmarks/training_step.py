# SPDX-License-Identifier: Apache-2.0
"""Training steps beside transformers' Trainer with PEFT, and beside a large matrix product.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/training_step.py [--shape bundled|100M|1B|8B] [--device cpu|cuda]
        [--steps N] [--batch N] [--runs N] [--threads N] [--tokens N] [--nf4] [--peers PYTHON] [--keep] [--check]

All train the same adapters (rank 16 on all linear layers) with AdamW on the same notes; each arm is a fresh process:

- `ours`: the product's training loop.
- `trainer`: Trainer as it is usually called: batches at random, padded to the longest.
- `trainer, our batches`: the same examples in the same steps as ours, to compare losses step by step; the largest
  difference is shown and, in float32, must stay under 1e-3.
- `trl`, `unsloth`: TRL's SFTTrainer, and the same on a model that Unsloth has loaded (peers/sft.py). Neither belongs to
  the project: `--peers` names the interpreter of an environment that has one, and what this package needs. An arm that
  is not installed there, or cannot run, is left out, and the table and the JSON say why.
- `matmul`: a product of two matrices of 4096 x 4096 (2048 on the CPU) in the same dtype, for the arithmetic reached.

Tokens are counted without padding, CPU seconds (on a GPU: seconds) without loading and the first two steps. Arithmetic
is that of the decoder's linear layers: 4 operations for each weight and token, since a frozen base needs no gradients
of its weights, and 6 for each weight of an adapter. Peak memory is what training
adds to a base that is loaded (on a GPU: all that is allocated).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import torch
from arms import Arm, CannotRunError, Case, Figures, Ratio, Told, in_turn
from shapes import LINEARS, RANK, SHAPES, base_of, examples_of, modules_of, plan_of, start_of
from transformers import TrainerCallback

from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from fedmed_desktop.training.base import BaseModel
from fedmed_desktop.training.batches import Example, Examples, Schedule, collate
from fedmed_desktop.training.checkpoints import Checkpoint
from fedmed_desktop.training.device import choose_device, peak_resident_mib
from fedmed_desktop.training.loop import StepDone, Training
from fedmed_desktop.training.rates import learning_rate_share

ARMS: Final = ("ours", "trainer", "trainer, our batches")
PEERS: Final = ("trl", "unsloth")
HERE: Final = Path(__file__).resolve().parent
USUAL_STEPS: Final = 12
WARM: Final = 2  # steps that are not counted
AIMS: Final = {
    "cpu": [
        Ratio("ours", "trainer", "tokens per second", least=1.5),
        Ratio("ours", "trl", "tokens per second"),
        Ratio("ours", "trainer", "MiB", most=0.6),
        Ratio("ours", "matmul", "GFLOP per second", least=0.5),
    ],
    "cuda": [
        Ratio("ours", "trainer", "tokens per second", least=2.0),
        Ratio("ours", "trl", "tokens per second"),
        Ratio("ours", "unsloth", "tokens per second", least=1.0),
        Ratio("ours", "trainer", "MiB", most=0.6),
        Ratio("ours", "matmul", "GFLOP per second", least=0.45),
    ],
}
MOST_DIFFERENCE: Final = 1e-3


def main() -> int:
    options = arguments()
    if options.arm:
        print(json.dumps(measured(options)))
        return 0
    case, losses = compared(options)
    difference = max(abs(a - b) for a, b in zip(losses["ours"], losses["trainer, our batches"], strict=True))
    settings = {name: value for name, value in vars(options).items() if name not in ("arm", "peers", "keep", "check")}
    settings["largest difference of a step's loss"] = float(f"{difference:.2g}")
    name = f"training_step_{options.shape}_{options.device}"
    name += "" if options.steps <= USUAL_STEPS else f"_{options.steps}_steps"
    told = Told(name, [case], AIMS[options.device], settings)
    told.show()
    print(f"Largest difference of a step's loss from Trainer's on the same batches: {difference:.1e}")
    if options.keep:
        told.keep()
    return 1 if options.check and not (told.good and difference < MOST_DIFFERENCE) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="bundled")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=USUAL_STEPS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, help="every example has so many (default: real sentences)")
    parser.add_argument("--nf4", action="store_true")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="with TRL or Unsloth (this one)")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--arm", choices=(*ARMS, *PEERS, "matmul"), help=argparse.SUPPRESS)
    return parser.parse_args()


def compared(options: argparse.Namespace) -> tuple[Case, dict[str, list[float]]]:
    """The figures of all arms, and the losses of each step by arm."""
    losses: dict[str, list[float]] = {}

    def arm(name: str) -> Arm:
        def run() -> Figures:
            if name in PEERS and (reason := why_not(name, options)):
                raise CannotRunError(reason)
            python = options.peers if name in PEERS else sys.executable
            program = HERE / "peers" / "sft.py" if name in PEERS else __file__
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE)))}
            done = subprocess.run(
                [python, program, *sys.argv[1:], "--arm", name], capture_output=True, text=True, env=environment
            )
            if done.returncode and name in PEERS:
                raise CannotRunError("it failed: " + (done.stderr.strip().splitlines() or ["no word"])[-1][:200])
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            losses[name] = found.pop("losses", [])
            return dict(found)

        return run

    return in_turn(options.shape, {name: arm(name) for name in (*ARMS, *PEERS, "matmul")}, options.runs), losses


def why_not(peer: str, options: argparse.Namespace) -> str:
    """Reason why this peer cannot run, before anything is loaded; empty where it may."""
    if peer == "unsloth" and options.device == "cpu":
        return "needs a GPU"
    ask = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({peer!r}) is None)"
    there = subprocess.run([options.peers, "-c", ask], capture_output=True).returncode == 0
    return "" if there else "not installed"


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """One arm in this process."""
    device = choose_device("nf4" if options.nf4 else None, options.device)
    if options.arm == "matmul":
        torch.set_num_threads(options.threads)
        return matmul(options.device, device.dtype)
    base = base_of(options.shape, device, options.threads)
    examples = examples_of(base, max(options.batch * options.steps, 64), options.tokens)
    before = 0.0 if options.device == "cuda" else peak_resident_mib()
    seconds, losses = (ours if options.arm == "ours" else trainer)(base, examples, options)
    return outcome(base, examples, options, before, seconds, losses)


def outcome(
    base: BaseModel, examples: Examples, options: argparse.Namespace, before: float, seconds: float, losses: list[float]
) -> dict[str, Any]:
    """An arm's figures. `before`: peak memory when training began, MiB; `seconds`: of the steps that count."""
    batches = batches_of(examples, options)[WARM:]
    tokens = sum(len(examples.items[i]) for batch in batches for i in batch)
    return {
        "tokens per second": tokens / seconds,
        "GFLOP per second": tokens * operations(base) / seconds / 1e9,
        "MiB": base.device.peak_memory_mib() - before,
        "seconds": seconds,
        "losses": losses,
    }


def batches_of(examples: Examples, options: argparse.Namespace) -> list[list[int]]:
    schedule = Schedule([len(e) for e in examples.items], options.batch, 0)
    return [schedule.batch(step) for step in range(options.steps)]


def clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def ours(base: BaseModel, examples: Examples, options: argparse.Namespace) -> tuple[float, list[float]]:
    start = start_of(base)
    base.lora.attach(start)
    ends: list[float] = []
    steps: list[StepDone] = []

    def done(step: StepDone) -> None:
        steps.append(step)
        ends.append(clock(options.device))

    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(start, options.steps, options.batch)
        Training(base, examples, plan, start, Checkpoint(Path(folder), "training", "key")).run(done, Control())
    return ends[-1] - ends[WARM - 1], [step.loss for step in steps]


class Watch(TrainerCallback):  # type: ignore[misc]
    """Time at which each step of a Trainer ended, and its loss."""

    def __init__(self, device: str) -> None:
        self.losses: list[float] = []
        self._device = device
        self._ends: list[float] = []

    def on_step_end(self, *args: Any, **beside: Any) -> None:
        self._ends.append(clock(self._device))

    def on_log(self, *args: Any, logs: dict[str, float], **beside: Any) -> None:
        self.losses.extend(value for name, value in logs.items() if name == "loss")

    @property
    def seconds(self) -> float:
        return self._ends[-1] - self._ends[WARM - 1]


def trainer(base: BaseModel, examples: Examples, options: argparse.Namespace) -> tuple[float, list[float]]:
    import transformers
    from peft import LoraConfig, get_peft_model

    transformers.utils.logging.set_verbosity_error()
    start = start_of(base)
    model = get_peft_model(base.model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(LINEARS)))
    put(start, model)
    in_order = [examples.items[i] for batch in batches_of(examples, options) for i in batch]
    watch = Watch(options.device)

    class InOrder(transformers.Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *args: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    chosen = InOrder if options.arm == "trainer, our batches" else transformers.Trainer
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            folder, per_device_train_batch_size=options.batch, max_steps=options.steps, max_grad_norm=1.0,
            logging_steps=1, report_to=[], save_strategy="no", use_cpu=options.device == "cpu", disable_tqdm=True,
            bf16=base.device.dtype == torch.bfloat16, remove_unused_columns=False, dataloader_pin_memory=False,
        )  # fmt: skip
        chosen(
            model, settings, data_collator=padded, train_dataset=in_order, optimizers=optimizers(model, options.steps),
            callbacks=[watch],
        ).train()  # fmt: skip
    return watch.seconds, watch.losses


def optimizers(model: Any, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW and its schedule, as ours are."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    share = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_share(min(step, steps - 1), steps, 0.05)
    )
    return optimizer, share


@torch.no_grad()
def put(adapter: Adapter, model: Any) -> None:
    """The adapter's values into PEFT's layers."""
    for name, module in adapter.items():
        layer = model.base_model.model.get_submodule(name)
        layer.lora_A["default"].weight.copy_(torch.from_numpy(module.A.copy()))
        layer.lora_B["default"].weight.copy_(torch.from_numpy(module.B.copy()))


def padded(rows: list[Example]) -> dict[str, torch.Tensor]:
    """Collates as the library's own collator for language models does, with the prompt left out of the loss."""
    batch = collate(rows, "answer", torch.device("cpu"))
    labels = torch.full_like(batch.tokens, -100)
    mask = torch.zeros_like(batch.tokens)
    for row, example in enumerate(rows):
        labels[row, len(example.prompt) : len(example)] = batch.tokens[row, len(example.prompt) : len(example)]
        mask[row, : len(example)] = 1
    return {"input_ids": batch.tokens, "labels": labels, "attention_mask": mask}


def operations(base: BaseModel) -> float:
    """Floating point operations of one token, forward and backward, without attention itself."""
    shapes = modules_of(base)
    linear = sum(rows * columns for rows, columns in shapes.values())
    adapters = sum(RANK * (rows + columns) for rows, columns in shapes.values())
    return 4.0 * linear + 6.0 * adapters


def matmul(device: str, dtype: torch.dtype) -> dict[str, float]:
    size = 4096 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(6):
        began = clock(device)
        a @ b
        times.append(clock(device) - began)
    seconds = min(times[1:])
    return {"GFLOP per second": 2 * size**3 / seconds / 1e9, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
