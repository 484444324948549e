# SPDX-License-Identifier: Apache-2.0
"""Training within a bound of GPU memory: steps of the product's loop on random weights in a known shape.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/fit.py [--shape 8B] [--nf4] [--gib 12] [--batch 4] [--tokens 800]

torch gets `--gib` of the card and no more; where a batch does not fit, the loop halves it, and then computes layers
anew in the backward pass. Prints JSON: the peak, what had to be given up, and tokens per second of the last step.
Status 1 where nothing helped. On the CPU (`--device cpu`) nothing is bounded; it shows that the program runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from shapes import SHAPES, base_of, examples_of, plan_of, start_of

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.work import Control
from fedmed_desktop.training.checkpoints import Checkpoint
from fedmed_desktop.training.device import choose_device
from fedmed_desktop.training.loop import StepDone, Training
from fedmed_desktop.wording import told

STEPS = 4


def main() -> int:
    options = arguments()
    device = choose_device("nf4" if options.nf4 else None, options.device)
    if device.name == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, options.gib * 2**30 / total))
    result = {"shape": options.shape, "nf4": options.nf4, "GiB allowed": options.gib, "batch": options.batch}
    steps: list[StepDone] = []
    try:
        base = base_of(options.shape, device)
        examples, start = examples_of(base, STEPS * options.batch, options.tokens), start_of(base)
        base.lora.attach(start)
        device.begin_peak()
        with tempfile.TemporaryDirectory() as folder:
            plan = plan_of(start, STEPS, options.batch)
            Training(base, examples, plan, start, Checkpoint(Path(folder), "training", "key")).run(
                steps.append, Control()
            )
    except (UserFacingError, torch.OutOfMemoryError) as error:
        sentence = told(error) if isinstance(error, UserFacingError) else "The base alone does not fit."
        print(json.dumps(result | {"fits": False, "why": sentence}))
        return 1
    learned = base.memory
    result |= {
        "fits": True,
        "GiB": round(device.peak_memory_mib() / 1024, 2),
        "rows at once": learned.rows(options.batch, options.tokens),
        "computed anew": learned.recomputes,
        "tokens per second": round(steps[-1].tokens / steps[-1].seconds),
    }
    print(json.dumps(result))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="8B")
    parser.add_argument("--nf4", action="store_true")
    parser.add_argument("--gib", type=float, default=12.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=800)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
