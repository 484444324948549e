# SPDX-License-Identifier: Apache-2.0
"""Reading notes beside `model.generate` of transformers: a validation set, and one note as in Try it.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/generation.py [--adapter FOLDER] [--notes N] [--runs N]
        [--device cpu|cuda] [--threads N] [--keep] [--check]

The bundled model with an adapter that marks drugs and problems: one of `--demo`'s report, or one that is trained first
(about two minutes on one core), since only what has learned to answer copies its note and then ends. All arms are
greedy and must give the same answers.

- `scored`: ours for a validation set; `note by note` and `batches of 32` by `model.generate`, the adapter merged as
  PEFT does it.
- `read`: ours for one note after another, as Try it does; `one by one` by `model.generate`, which also tells when the
  first token is there.

Seconds are of the processor on the CPU, and of the clock on a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from arms import Arm, Ratio, Told, in_turn
from shapes import base_of, examples_of, plan_of, start_of

from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from fedmed_desktop.training.base import BaseModel
from fedmed_desktop.training.batches import Examples
from fedmed_desktop.training.checkpoints import Checkpoint
from fedmed_desktop.training.device import choose_device
from fedmed_desktop.training.generation import Request, Tokens, folded_if_small, generate, padded_left, stream
from fedmed_desktop.training.loop import Training

MOST: Final = 192  # tokens of an answer
AIMS: Final = [
    Ratio("note by note", "scored", "seconds", least=5.0),
    Ratio("batches of 32", "scored", "seconds", least=2.0),
    Ratio("one by one", "read", "seconds", least=1.2),
    Ratio("one by one", "read", "seconds to the first token", least=1.0),
]


def main() -> int:
    options = arguments()
    base = base_of("bundled", choose_device(None, options.device), options.threads)
    examples = examples_of(base, 400)
    adapter = Adapter.load_peft(options.adapter) if options.adapter else trained(base, examples)
    base.lora.attach(adapter)
    requests = [Request(item.prompt, MOST) for item in examples.items[-options.notes :]]
    answers: dict[str, list[Tokens]] = {}
    reading = Reading(base, options.device, answers)
    with folded_if_small(base):  # merged for all arms
        few = requests[: max(1, len(requests) // 8)]
        cases = [
            in_turn("a validation set", reading.of_a_set(requests), options.runs),
            in_turn("one note", reading.of_one(few), options.runs),
        ]
    told = Told(f"generation_{options.device}", cases, AIMS, {"notes": options.notes, "threads": options.threads})
    told.show()
    for name, found in answers.items():
        same = sum(a == b for a, b in zip(found, answers["note by note"], strict=False))
        print(f"{name}: {same} of {len(found)} answers as note by note")
    if options.keep:
        told.keep()
    return 1 if options.check and not told.good else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--adapter", type=Path, help="in PEFT's format")
    parser.add_argument("--notes", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def trained(base: BaseModel, examples: Examples) -> Adapter:
    """Training on all but the last notes, which are read."""
    start = start_of(base)
    base.lora.attach(start)
    plan = plan_of(start, 200, 8)
    with tempfile.TemporaryDirectory() as folder:
        some = Examples(examples.items[:300])
        Training(base, some, plan, start, Checkpoint(Path(folder), "training", "key")).run(lambda step: None, Control())
    return base.lora.read()


class Reading:
    """The arms; each puts its answers into `answers`, to be compared."""

    def __init__(self, base: BaseModel, device: str, answers: dict[str, list[Tokens]]) -> None:
        self._base, self._device, self._answers = base, device, answers

    def of_a_set(self, requests: Sequence[Request]) -> dict[str, Arm]:
        return {
            "scored": self._timed("scored", lambda: generate(self._base, requests, rows=64)),
            "note by note": self._timed("note by note", lambda: [self._library([one])[0] for one in requests]),
            "batches of 32": self._timed("batches of 32", lambda: self._in_batches(requests)),
        }

    def of_one(self, requests: Sequence[Request]) -> dict[str, Arm]:
        first: list[float] = []

        def read() -> list[Tokens]:
            first.clear()
            found = []
            for request in requests:
                began = self._clock()
                tokens = stream(self._base, request)
                begun = next(tokens, None)
                first.append(self._clock() - began)
                found.append(() if begun is None else (begun, *tokens))
            return found

        def one_by_one() -> list[Tokens]:
            first.clear()
            found = []
            for request in requests:
                begins = Begins(self._clock)
                began = self._clock()
                found.append(self._library([request], streamer=begins)[0])
                first.append(begins.at - began)
            return found

        return {"read": self._timed("read", read, first), "one by one": self._timed("one by one", one_by_one, first)}

    def _timed(self, name: str, run: Any, first: list[float] | None = None) -> Arm:
        def arm() -> dict[str, float]:
            began = self._clock()
            found = run()
            seconds = self._clock() - began
            self._answers[name] = found
            figures = {"seconds": seconds, "tokens per second": sum(map(len, found)) / seconds}
            return figures | ({"seconds to the first token": sum(first) / len(first)} if first else {})

        return arm

    def _clock(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def _in_batches(self, requests: Sequence[Request]) -> list[Tokens]:
        found: list[Tokens] = []
        for start in range(0, len(requests), 32):
            found += self._library(requests[start : start + 32])
        return found

    @torch.inference_mode()
    def _library(self, requests: Sequence[Request], **more: Any) -> list[Tokens]:
        tokens, mask = padded_left([request.prompt for request in requests], self._base.device.torch)
        with self._base.device.autocast():
            found = self._base.model.generate(
                input_ids=tokens, attention_mask=mask, max_new_tokens=MOST, do_sample=False, **more
            )
        answers = []
        for row in found[:, tokens.shape[1] :].tolist():
            end = next((at for at, token in enumerate(row) if token in self._base.end_tokens), len(row))
            answers.append(tuple(row[:end]))
        return answers


class Begins:
    """A streamer that only notes when the first token behind the prompt is there."""

    def __init__(self, clock: Any) -> None:
        self._clock, self._calls, self.at = clock, 0, 0.0

    def put(self, value: Any) -> None:
        self._calls += 1
        if self._calls == 2:  # the first call has the prompt
            self.at = self._clock()

    def end(self) -> None: ...


if __name__ == "__main__":
    sys.exit(main())
