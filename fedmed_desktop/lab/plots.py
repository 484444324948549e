# SPDX-License-Identifier: Apache-2.0
"""Pictures of an experiment as PNG and SVG: loss per round, drift and rank per round, bytes against score.

The same results give the same files, byte for byte, with one version of matplotlib. Needs the extra `lab`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import UserFacingError
from ..files import write_durably
from ..storage.results import PICTURES, ResultRow
from .by_task import averaged
from .compare import Setting, labels_of, settings_of
from .curves import Curve, Quantity, curves_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; the yellow, which is too pale on white, is darkened.
_COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#000000")
_MARKERS: Final = ("o", "s", "^", "D", "v", "<", ">")
_DASHES: Final = ("solid", (0, (5, 1.6)), (0, (1.2, 1.2)))
_REFERENCE: Final = {"centralised": (0, (6, 2)), "alone": (0, (2, 2)), "base": (0, (1, 2))}
_GREY: Final = "#6B7280"
_INK: Final = "#1F2933"
_STYLE: Final[dict[str, Any]] = {
    "svg.hashsalt": "fedmed-desktop",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9.5,
    "text.parse_math": False,  # labels are anybody's
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#C4CAD3",
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.grid": True,
    "grid.color": "#E8EBEF",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.2,
    "legend.frameon": False,
}
_DPI: Final = 200
_WIDTH, _NARROW, _PANEL = 9.0, 6.4, 2.6  # inches: at _DPI twice the pixels that a README shows
_LEGEND_ROW: Final = 0.2
_WORDS: Final[dict[Quantity, str]] = {
    "loss": "Validation loss, nats per token",
    "f1": "Strict F1 on validation notes",
    "drift": "Drift",
    "rank": "Rank, mean of the sites",
    "bytes": "Bytes",
}


@dataclass(frozen=True)
class _Look:
    color: str
    marker: str
    dash: Any
    width: float = 1.6

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.dash, "linewidth": self.width}

    def dots(self) -> dict[str, Any]:
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.6}
        return {"marker": self.marker, "markerfacecolor": self.color} | edge


def draw_plots(folder: Path, rows: Sequence[ResultRow]) -> list[Path]:
    """Writes the pictures and returns their paths. Raises UserFacingError: matplotlib is missing, the disk is full."""
    if find_spec("matplotlib") is None:
        raise UserFacingError("lab.no_matplotlib", path=str(folder))
    settings = [setting for setting in settings_of(rows) if curves_of(rows, setting, "loss")]
    if not settings:
        return []
    import matplotlib as mpl

    written = []
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the machine's own settings are
        style: Any = mpl.rcParams
        style.update(_STYLE)
        for name, draw in zip(PICTURES, (_loss, _drift_and_rank, _bytes), strict=True):
            figure = draw(rows, settings)
            if figure is not None:
                written += _write(figure, folder / name)
    return written


def _write(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as PNG and SVG without date and program, so that the same figure is the same file."""
    paths = []
    for ending, unsaid in (("png", "Software"), ("svg", "Date")):
        data = io.BytesIO()
        figure.savefig(data, format=ending, dpi=_DPI, metadata={unsaid: None})
        paths.append(stem.with_suffix(f".{ending}"))
        write_durably(paths[-1], data.getvalue())
    return paths


# -- figures -----------------------------------------------------------------------------------------------------------


def _loss(rows: Sequence[ResultRow], settings: Sequence[Setting]) -> Figure:
    looks = _looks(rows)
    figure, axes = _panels(settings, ["loss"], looks)
    for column, setting in enumerate(settings):
        _draw_courses(axes[0][column], curves_of(rows, setting, "loss"), looks)
    _level_out(axes[0])
    return figure


def _drift_and_rank(rows: Sequence[ResultRow], settings: Sequence[Setting]) -> Figure | None:
    known: list[Quantity] = [q for q in ("drift", "rank") if any(curves_of(rows, s, q) for s in settings)]
    looks = _federated_looks(rows)
    if not known or not looks:  # sites that train alone have drifts too, which say nothing
        return None
    figure, axes = _panels(settings, known, looks)
    for line, quantity in zip(axes, known, strict=True):
        for column, setting in enumerate(settings):
            courses = [curve for curve in curves_of(rows, setting, quantity) if curve.kind == "federation"]
            _draw_courses(line[column], courses, looks, takes_turns=quantity == "rank")
        _level_out(line)
    return figure


def _bytes(rows: Sequence[ResultRow], settings: Sequence[Setting]) -> Figure | None:
    """Scores that each method had reached by bytes moved; the last round's point is filled."""
    looks = _federated_looks(rows)
    if not looks:
        return None
    scores: list[Quantity] = [q for q in ("loss", "f1") if any(curves_of(rows, s, q) for s in settings)]
    figure, axes = _panels(settings, scores, looks, below="MB moved, all sites, up and down")
    for line, quantity in zip(axes, scores, strict=True):
        for column, setting in enumerate(settings):
            _draw_trails(line[column], rows, setting, quantity, looks)
        if quantity == "f1" and averaged(rows):
            line[0].set_ylabel("Mean of tasks on validation notes")
        _level_out(line)
    return figure


def _federated_looks(rows: Sequence[ResultRow]) -> dict[str, _Look]:
    return {label: look for label, look in _looks(rows).items() if look.marker}


def _looks(rows: Sequence[ResultRow]) -> dict[str, _Look]:
    """Colours, markers and dashes by label, the same in every picture."""
    kinds = {row.label: row.kind for row in rows}
    looks: dict[str, _Look] = {}
    for label in labels_of(row for row in rows if row.kind != "encoder"):  # no loss of theirs is drawn
        number = sum(look.color != _GREY for look in looks.values())
        if kinds[label] == "federation":
            turn, color = divmod(number, len(_COLORS))
            marker = _MARKERS[(number + turn) % len(_MARKERS)]
            looks[label] = _Look(_COLORS[color], marker, _DASHES[turn % len(_DASHES)])
        else:
            looks[label] = _Look(_GREY, "", _REFERENCE[kinds[label]], 1.2)
    return looks


def _panels(
    settings: Sequence[Setting], quantities: Sequence[Quantity], looks: dict[str, _Look], below: str = "Round"
) -> tuple[Figure, list[list[Axes]]]:
    """A column for each setting, a row for each quantity, and one legend beneath all of them."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    width = _WIDTH if len(settings) > 1 else _NARROW
    lines = math.ceil(len(looks) / (6 if len(settings) > 1 else 4))
    columns = math.ceil(len(looks) / lines)  # lines of equal length
    foot = _LEGEND_ROW * lines + 0.62  # the legend, the axis and its name
    height = _PANEL * len(quantities) + foot
    figure = Figure(figsize=(width, height))
    # Fixed margins: a layout that is solved for differs in its last bits from run to run.
    axes = figure.subplots(
        len(quantities), len(settings), squeeze=False,
        gridspec_kw={
            "left": 0.66 / width, "right": 1 - 0.14 / width, "bottom": foot / height, "top": 1 - 0.3 / height,
            "wspace": 0.07, "hspace": 0.13,
        },
    )  # fmt: skip
    for number, quantity in enumerate(quantities):
        for column, setting in enumerate(settings):
            panel = axes[number][column]
            if number == 0:
                panel.set_title(setting.title)
            if column == 0:
                panel.set_ylabel(_WORDS[quantity])
            if number == len(quantities) - 1:
                panel.set_xlabel(below)
            else:
                panel.tick_params(labelbottom=False)
    marks = [
        Line2D([], [], label=label, **look.line, **(look.dots() if look.marker else {}))
        for label, look in looks.items()
    ]
    figure.legend(
        handles=marks, loc="lower center", ncols=columns, fontsize=9, handlelength=2.6, columnspacing=1.6,
        bbox_to_anchor=(0.5, 0.0), borderaxespad=0.3,
    )  # fmt: skip
    return figure, [list(line) for line in axes]


def _level_out(axes: Sequence[Axes]) -> None:
    """Gives panels that are side by side the same scale."""
    low, high = min(a.get_ylim()[0] for a in axes), max(a.get_ylim()[1] for a in axes)
    for number, panel in enumerate(axes):
        panel.set_ylim(low, high)
        if number:
            panel.tick_params(labelleft=False)


# -- lines -------------------------------------------------------------------------------------------------------------


def _draw_courses(panel: Axes, curves: Sequence[Curve], looks: dict[str, _Look], *, takes_turns: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    last = max([1.0, *(float(curve.rounds[-1]) for curve in curves)])  # before any training there is but round 0
    for number, curve in enumerate(curves):
        look = looks[curve.label]
        if len(curve.rounds) == 1 and curve.kind != "federation":
            panel.axhline(curve.last, **look.line, zorder=1.5)
            continue
        # Each has its marks at other rounds, so that overlapping lines are all seen.
        every = min(len(curves), len(curve.rounds)) if takes_turns else max(1, math.ceil(len(curve.rounds) / 10))
        marks = (number % every if takes_turns else 0, every)
        panel.plot(curve.rounds, curve.mean, **look.line, zorder=3 if look.marker else 1.5)
        if look.marker:
            dots = {"linestyle": "none", "markevery": marks, "clip_on": False, **look.dots()}
            panel.plot(curve.rounds, curve.mean, **dots, zorder=4)
            low, high = curve.mean - np.nan_to_num(curve.sd), curve.mean + np.nan_to_num(curve.sd)
            panel.fill_between(curve.rounds, low, high, color=look.color, alpha=0.13, linewidth=0, zorder=2)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if takes_turns:
        bottom, top = panel.get_ylim()
        if top - bottom < 1:  # one rank throughout
            panel.set_ylim(bottom - 0.5, top + 0.5)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panel.set_xlim(-0.02 * last, 1.02 * last)


def _draw_trails(
    panel: Axes, rows: Sequence[ResultRow], setting: Setting, quantity: Quantity, looks: dict[str, _Look]
) -> None:
    moved = {curve.label: curve for curve in curves_of(rows, setting, "bytes")}
    for curve in curves_of(rows, setting, quantity):
        if curve.kind != "federation":
            continue
        look, x = looks[curve.label], moved[curve.label].mean / 1e6
        here = np.isin(moved[curve.label].rounds, curve.rounds)
        panel.plot(x[here], curve.mean, color=look.color, linestyle=look.dash, linewidth=1.2, alpha=0.55, zorder=2)
        end = (x[here][-1], curve.mean[-1])
        if np.isfinite(curve.sd[-1]):
            panel.errorbar(*end, yerr=curve.sd[-1], color=look.color, linewidth=1.1, capsize=2.5, zorder=3)
        panel.plot(*end, linestyle="none", markersize=6.0, **look.dots(), zorder=4)
    panel.set_xlim(left=0)
