# SPDX-License-Identifier: Apache-2.0
"""Arms of a benchmark: taken in turn, several times each, in one run; then compared, shown and kept.

A benchmark measures what we do beside a named peer or a physical limit. Each arm is a function that returns its figures
(such as seconds, CPU seconds, bytes). `in_turn` calls the arms one after the other and then all of them again, every
second time in reverse, so that a busy machine slows all alike. A ratio is the median of the ratios within each turn.

    case = in_turn("10 updates", {"ours": ours, "numpy": peer}, runs=5)
    told = Told("combining", [case], [Ratio("ours", "numpy", "cpu", most=2.0)])
    told.show()
    told.keep()

`keep` writes results/NAME.json. Seconds are of one machine only; bounds look at ratios and at memory.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"

Figures = Mapping[str, float]
Arm = Callable[[], Figures]


class CannotRunError(Exception):
    """An arm raises this where it cannot run here, as a peer that is not installed: it is left out, for this reason."""


@dataclass(frozen=True)
class Case:
    """Figures of the arms under one setting, by arm and turn. `left_out`: why an arm has none."""

    name: str
    taken: dict[str, list[Figures]]
    left_out: dict[str, str] = field(default_factory=dict)

    def median(self, arm: str, figure: str) -> float:
        return statistics.median(one[figure] for one in self.taken[arm])

    def ratios(self, of: str, to: str, figure: str) -> list[float]:
        """One in each turn."""
        return [a[figure] / b[figure] for a, b in zip(self.taken[of], self.taken[to], strict=True) if b[figure]]

    def told(self) -> dict[str, dict[str, list[float]]]:
        """Median, least and most, by arm and figure."""
        return {
            arm: {figure: _spread([one[figure] for one in runs]) for figure in runs[0]}
            for arm, runs in self.taken.items()
        }


@dataclass(frozen=True)
class Ratio:
    """A figure of one arm divided by that of another, and the most (or least) that it should be."""

    of: str
    to: str
    figure: str
    most: float | None = None
    least: float | None = None

    @property
    def name(self) -> str:
        return f"{self.of} / {self.to}, {self.figure}"

    def is_reached(self, value: float) -> bool | None:
        """None where nothing is aimed at."""
        if self.most is None and self.least is None:
            return None
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


@dataclass(frozen=True)
class Told:
    """The outcome of a benchmark. `settings`: what it was run with."""

    benchmark: str
    cases: Sequence[Case]
    ratios: Sequence[Ratio] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def found(self) -> list[dict[str, Any]]:
        """The ratios of every case that has both of their arms."""
        rows = []
        for case in self.cases:
            for ratio in self.ratios:
                if ratio.of in case.taken and ratio.to in case.taken and ratio.figure in case.taken[ratio.of][0]:
                    values = case.ratios(ratio.of, ratio.to, ratio.figure)
                    median, least, most = _spread(values) if values else [float("nan")] * 3
                    row = {"case": case.name, "ratio": ratio.name, "median": median, "least": least, "most": most}
                    rows.append(row | {"aim": _aim(ratio), "reached": ratio.is_reached(median)})
        return rows

    @property
    def good(self) -> bool:
        return all(row["reached"] is not False for row in self.found())

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "settings": dict(self.settings),
            "machine": machine(),
            "ratios": self.found(),
            "cases": {case.name: case.told() for case in self.cases},
            "left out": {case.name: case.left_out for case in self.cases if case.left_out},
        }

    def show(self) -> None:
        """Two tables, medians and ratios, and the JSON."""
        for case in self.cases:
            figures = list(dict.fromkeys(figure for runs in case.taken.values() for figure in runs[0]))
            rows = [
                [arm, *(_short(case.median(arm, figure)) if figure in runs[0] else "-" for figure in figures)]
                for arm, runs in case.taken.items()
            ]
            rows += [[f"{arm}: {reason}", *("-" for _ in figures)] for arm, reason in case.left_out.items()]
            _print(table([case.name, *figures], rows))
        rows = [
            [row["case"], row["ratio"], *(_short(row[key]) for key in ("median", "least", "most")), row["aim"] or "-"]
            for row in self.found()
        ]
        if rows:
            _print(table(["case", "ratio", "median", "least", "most", "aim"], rows))
        _print(json.dumps(self.as_json(), indent=1) + "\n")

    def keep(self) -> Path:
        """Writes the JSON beside the other results."""
        path = RESULTS / f"{self.benchmark}.json"
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        return path


def in_turn(name: str, arms: Mapping[str, Arm], runs: int) -> Case:
    """Takes every arm `runs` times, but for those that raise CannotRunError."""
    taken: dict[str, list[Figures]] = {arm: [] for arm in arms}
    left_out: dict[str, str] = {}
    for turn in range(runs):
        for arm in list(taken) if turn % 2 == 0 else reversed(list(taken)):
            try:
                taken[arm].append(arms[arm]())
            except CannotRunError as error:
                left_out[arm] = str(error)
                del taken[arm]
    return Case(name, taken, left_out)


def machine() -> dict[str, Any]:
    """The processor, the system, and how busy it is now: nothing that names a computer or its user."""
    model = platform.processor()
    if (known := Path("/proc/cpuinfo")).exists():
        lines = (line.partition(":") for line in known.read_text().splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": [round(one, 1) for one in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table in Markdown, the first column to the left."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def _spread(values: Sequence[float]) -> list[float]:
    return [float(f"{one:.4g}") for one in (statistics.median(values), min(values), max(values))]


def _aim(ratio: Ratio) -> str | None:
    if ratio.most is not None:
        return f"at most {ratio.most:g}"
    return f"at least {ratio.least:g}" if ratio.least is not None else None


def _short(value: float) -> str:
    return f"{value:.3g}"


def _print(text: str) -> None:
    sys.stdout.write(text)
