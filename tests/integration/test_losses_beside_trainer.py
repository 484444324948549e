# SPDX-License-Identifier: Apache-2.0
"""Our steps beside those of transformers' Trainer with PEFT, on the same batches, as the benchmark takes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = 50


def losses_of(arm: str) -> list[float]:
    program = ROOT / "packaging" / "benchmarks" / "training_step.py"
    words = [sys.executable, str(program), "--arm", arm, "--steps", str(STEPS), "--batch", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=900, check=True)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])["losses"]
    return found


@pytest.mark.slow
def test_that_each_of_50_losses_in_float32_is_that_of_trainer_on_the_same_batches() -> None:
    ours, trainer = losses_of("ours"), losses_of("trainer, our batches")
    assert len(ours) == len(trainer) == STEPS
    assert ours == pytest.approx(trainer, abs=1e-3)
    assert sum(ours[-10:]) < sum(ours[:10]), "and it learns"
