# SPDX-License-Identifier: Apache-2.0
"""Options of the demonstration's command, and what they make of its training."""

from __future__ import annotations

from pathlib import Path

from fedmed_desktop.cli.demo import _options, _parser
from fedmed_desktop.demo.settings import DemoOptions


def test_that_every_option_reaches_the_demonstration() -> None:
    line = (
        "--rounds 2 --sites 2 --seed 3 --method fedavg --notes n --report r --compare --overfitted --longer --threads 1"
    )
    assert _options(_parser().parse_args(line.split())) == DemoOptions(
        rounds=2,
        sites=2,
        seed=3,
        method="fedavg",
        notes=Path("n"),
        report=Path("r"),
        compare=True,
        overfitted=True,
        longer=True,
        threads=1,
    )
    assert _options(_parser().parse_args([])) == DemoOptions()


def test_that_a_longer_one_has_six_times_as_many_steps() -> None:
    usual, longer = DemoOptions().training, DemoOptions(longer=True).training
    assert usual.steps and longer.steps == 6 * usual.steps
    assert longer.learning_rate < usual.learning_rate
