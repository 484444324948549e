# SPDX-License-Identifier: Apache-2.0
"""Errands that are handed over while a coordinator starts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.coordinator.errands import FOLDER, tidy


def test_that_an_errand_which_gets_its_last_name_meanwhile_does_not_end_the_coordinators_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "a.new").write_text("{}", encoding="utf-8")
    listed = Path.iterdir

    def renamed_behind_its_back(path: Path) -> Any:
        for found in list(listed(path)):
            found.unlink()  # as far as its old name goes
            yield found

    monkeypatch.setattr(Path, "iterdir", renamed_behind_its_back)
    tidy(folder)
    assert not list(listed(folder))


def test_that_what_an_earlier_run_left_behind_is_removed_but_nothing_that_waits(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    long_ago = time.time() - 3600
    for name in ("a.done", "b.json", "b.in", "c.new"):
        (folder / name).write_text("{}", encoding="utf-8")
        os.utime(folder / name, (long_ago, long_ago))
    (folder / "d.new").write_text("{}", encoding="utf-8")
    tidy(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["b.in", "b.json", "d.new"]
