# SPDX-License-Identifier: Apache-2.0
"""A training that the last start did not end is told of, and only that."""

from __future__ import annotations

from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.desktop.work.interrupted import interrupted_at, told_interrupted
from fedmed_desktop.site.folder import has_checkpoint
from fedmed_desktop.storage.outbox import Record
from fedmed_desktop.wording import sentence
from tests.parts import monitor


def said(record: Record, measured: list[events.Event], saved: bool = True) -> str:
    if (last := interrupted_at(record, measured)) is None:
        return ""
    found = told_interrupted(last, saved)
    return sentence(found.code, found.params)


def test_that_a_power_cut_in_the_midst_of_training_is_told_with_its_step() -> None:
    told = monitor.run(2, 40, last_step=17)
    words = said(monitor.record(monitor.entry(1)), told)
    assert words.startswith("Training was interrupted in round 2, at step 17 of 40. It goes on from the last saved")
    anew = said(monitor.record(monitor.entry(1)), told, saved=False)
    assert "before anything was saved" in anew and "begins anew" in anew


def test_that_one_that_was_over_but_not_yet_put_down_is_told_too() -> None:
    assert "round 2, at step 40 of 40" in said(monitor.record(monitor.entry(1)), monitor.run(2, 40))


def test_that_what_was_trained_to_its_end_is_no_news() -> None:
    assert said(monitor.record(monitor.entry(1), monitor.entry(2, "pending")), monitor.run(2, 40)) == ""
    assert said(monitor.record(), []) == ""


def test_that_a_checkpoint_is_of_its_own_round(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "round-2").mkdir(parents=True)
    assert not has_checkpoint(tmp_path, 2)
    (tmp_path / "checkpoints" / "round-2" / "training.safetensors").touch()
    assert has_checkpoint(tmp_path, 2) and not has_checkpoint(tmp_path, 3)
