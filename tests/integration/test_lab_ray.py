# SPDX-License-Identifier: Apache-2.0
"""The same experiment in this process and as Ray tasks. Slow: Ray starts a small cluster of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedmed_desktop.storage.results import read_results
from tests.integration.test_lab import FILE

pytestmark = pytest.mark.slow


def lab(file: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As a user runs it: Ray's processes and sockets are none of this one's."""
    command = [sys.executable, "-m", "fedmed_desktop", "--lab", str(file), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=400)


def test_that_two_ray_workers_train_the_same_adapters_as_one_process(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    text = FILE.format(model=tiny_model.as_posix()).replace('["base", "alone", "centralised"]', '["centralised"]')
    file.write_text(text.replace("seeds = [3]", "seeds = [3]\nthreads = 2"), encoding="utf-8")
    done = lab(file, tmp_path / "ray", "--engine", "ray", "--workers", "2")
    assert done.returncode == 0, done.stderr
    done = lab(file, tmp_path / "local")
    assert done.returncode == 0, done.stderr

    found = [
        {(row.cell, row.round, row.split): (row.adapter, row.loss) for row in read_results(tmp_path / name).rows}
        for name in ("ray", "local")
    ]
    assert len(found[0]) == 3 * 4
    assert found[0] == found[1]


def test_that_more_workers_than_cores_are_refused_before_they_fill_the_memory(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(FILE.format(model=tiny_model.as_posix()), encoding="utf-8")
    done = lab(file, tmp_path / "out", "--engine", "ray", "--workers", "500")
    assert done.returncode == 2 and "fewer --workers" in done.stderr


def test_that_without_ray_a_sentence_says_how_to_get_it(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(FILE.format(model=tiny_model.as_posix()), encoding="utf-8")
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "from fedmed_desktop.cli import main\n"
        f"sys.exit(main({json.dumps(['--lab', str(file), '--out', str(tmp_path / 'out'), '--engine', 'ray'])}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "pip install 'fedmed-desktop[cluster]'" in done.stderr
