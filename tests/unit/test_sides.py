# SPDX-License-Identifier: Apache-2.0
"""A coordinator's folder given to a site, and a site's to a coordinator: nothing is written in either."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.resources import resource
from fedmed_desktop.storage.sides import check_side
from tests.parts.told import told_as


def test_that_a_site_leaves_the_folder_of_a_coordinator_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "coordinator.sqlite").write_bytes(b"")
    notes = next(path for path in sorted(resource("demo_notes").iterdir()) if path.is_dir())
    where = ["--join", "ws://127.0.0.1:9", "--name", "A", "--data-dir", str(tmp_path)]
    assert main(["--site", *where, "--model", str(resource("demo_model")), "--notes", str(notes)]) == 2
    assert "is the data folder of a coordinator" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["coordinator.sqlite"]


def test_that_a_coordinator_leaves_the_folder_of_a_site_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation, site = tmp_path / "federation", tmp_path / "site"
    made = ["--model", str(resource("demo_model")), "--notes-types", "drug", "--out", str(federation)]
    assert main(["--new-federation", *made]) == 0
    site.mkdir()
    (site / "site.sqlite").write_bytes(b"")
    start = ["--config", str(federation / "federation.toml"), "--data-dir", str(site), "--port", "0"]
    assert main(["--coordinator", *start]) == 2
    assert "is the data folder of a site" in capsys.readouterr().err
    assert [path.name for path in site.iterdir()] == ["site.sqlite"]


def test_that_a_folder_of_both_goes_on_as_either(tmp_path: Path) -> None:
    for name in ("site.sqlite", "coordinator.sqlite"):
        (tmp_path / name).write_bytes(b"")
    check_side(tmp_path, "site")
    check_side(tmp_path, "coordinator")


def test_that_a_hosts_folder_is_neither_a_sites_nor_a_coordinators(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_bytes(b"{}")
    check_side(tmp_path, "host")
    for side in ("site", "coordinator"):
        with told_as("data folder of a host"):
            check_side(tmp_path, side)  # type: ignore[arg-type]
