# SPDX-License-Identifier: Apache-2.0
"""Arms of the benchmarks: taken in turn, compared within a turn, and left out with a reason where they cannot run."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "packaging" / "benchmarks"


@pytest.fixture
def arms(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("arms", BENCHMARKS / "arms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "arms", module)
    spec.loader.exec_module(module)
    yield module


def test_that_a_peer_that_cannot_run_is_told_with_its_reason_beside_what_the_others_gave(
    arms: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    order = list[str]()

    def ours() -> dict[str, float]:
        order.append("ours")
        return {"seconds": 2.0}

    def peer() -> dict[str, float]:
        order.append("peer")
        return {"seconds": 4.0}

    def absent() -> dict[str, float]:
        order.append("absent")
        raise arms.CannotRunError("not installed")

    case = arms.in_turn("case", {"ours": ours, "absent": absent, "peer": peer}, 2)
    assert order == ["ours", "absent", "peer", "peer", "ours"], "what cannot run is not tried again"
    ratios = [arms.Ratio("ours", "peer", "seconds", most=0.6), arms.Ratio("ours", "absent", "seconds", most=1.0)]
    told = arms.Told("some", [case], ratios)
    told.show()
    shown = capsys.readouterr().out
    assert "| absent: not installed | - |" in shown
    found = json.loads(shown[shown.index("{") :])
    assert found["left out"] == {"case": {"absent": "not installed"}}
    assert [(row["ratio"], row["median"]) for row in found["ratios"]] == [("ours / peer, seconds", 0.5)] and told.good
