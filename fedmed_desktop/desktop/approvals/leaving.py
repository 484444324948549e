# SPDX-License-Identifier: Apache-2.0
"""Parts of an update that would leave this computer, by name and number, and those that stay. No Qt."""

from __future__ import annotations

from typing import Final

from ...federation import Plan, Report, scalars
from ...federation.spec import FederationSpec
from ...storage import Entry
from ..work.progress import megabytes
from .card_row import Line

# A count below this may point to single patients: the usual floor of published tables; taken over here, so inferred.
FEW: Final = 5

# Rows of a report that say nothing to whoever did not write the program.
_ROWS: Final = {
    ("kind", "train"): ("what", "adapter after training"),
    ("kind", "evaluate"): ("what", "scores of the final adapter"),
}
_NAMES: Final = {"shared loss": "loss on shared notes"}
_PARTS: Final = {"adapter": "adapter", "control": "change of control variate"}
# What a histogram counts -> its rows in the table, and how many it has, for one and for many.
_COUNTED: Final = {
    "specialties": ("notes of specialty", "1 specialty", "{n} specialties"),
    "types": ("entities of type", "1 type", "{n} types"),
    "none": ("count of", "1 kind", "{n} kinds"),
}


def leaves(entry: Entry, spec: FederationSpec | None, address: str) -> tuple[Line, ...]:
    """The card: where to, how much, and what never goes."""
    report = entry.update.report
    lines = [Line("To", _host(address), full=address), *_parts(entry)]
    if kinds := len(report.histogram):
        _, one, many = _COUNTED[spec.share.histogram if spec else "none"]
        lines.append(Line("Counts of your notes", one if kinds == 1 else many.format(n=kinds)))
    if report.shared_loss is not None:
        lines.append(Line("Loss on shared notes", f"{report.shared_loss:.2f}"))
    return (*lines, Line("Note text", "none"), Line("Your reason", "never sent"))


def _parts(entry: Entry) -> list[Line]:
    """One whole adapter is its size and nothing else to say."""
    parts, shared = entry.update.parts, entry.plan.shared
    if not parts:
        return [Line("Adapter", "none, scores only")]
    if len(parts) == 1 and len(shared) > 1:
        return [Line("Size", megabytes(entry.update.size), full=f"{entry.update.size:,} bytes")]
    lines = []
    for name, part in sorted(parts.items()):
        half = f"factor {shared[0]} only, " if name == "adapter" and len(shared) == 1 else ""
        size = f"{half}{megabytes(part.size)}"
        lines.append(Line(_capital(part_name(name)), size, full=f"{half}{part.size:,} bytes"))
    return lines


def part_name(name: str) -> str:
    """A name that a person understands for this part of an update."""
    return _PARTS.get(name, name)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _host(address: str) -> str:
    """Without the scheme, which says nothing to most people; the whole address stands in the sheet's head."""
    return address.partition("://")[2] or address


def stays(plan: Plan) -> str:
    """A sentence about what the method leaves at the site; "" where it leaves nothing there."""
    with_it = "; the scores are of the model with it" if plan.kind == "evaluate" else ""
    if plan.orthogonal:
        return f"Your personal adapter: no byte of it is in this update{with_it}."
    if plan.own:
        factors = " and ".join(plan.own)
        return f"Factor {factors} of your adapter: no byte of it is in this update{with_it}."
    if plan.variate and plan.kind == "train":
        return "Your control variate: its change in this round leaves, and the changes of all rounds add up to it."
    return ""


def few(report: Report) -> str:
    """A warning where a count is so small that it may point to single patients; "" else."""
    small = sum(0 < count < FEW for count in report.histogram.values())
    if not small:
        return ""
    which = "One of your counts is" if small == 1 else f"{small} of your counts are"
    return f"{which} below {FEW}: a rare kind of note can point to single patients."


def numbers(entry: Entry, spec: FederationSpec | None) -> tuple[tuple[str, str], ...]:
    """Every blob and every scalar of the update by its name; nothing else leaves."""
    rows = [("update", entry.sha256), ("round", str(entry.update.round))]
    for name, part in sorted(entry.update.parts.items()):
        words = part_name(name)
        rows += [(f"bytes of {words}", f"{part.size:,}"), (f"sha256 of {words}", part.sha256)]
    counted = _COUNTED[spec.share.histogram if spec else "none"][0]
    return (*rows, *(_plainly(row, counted) for row in scalars(entry.update.report)))


def _plainly(row: tuple[str, str], counted: str) -> tuple[str, str]:
    name, value = _ROWS.get(row, row)
    if name.startswith("histogram, "):
        return f"{counted} {name.removeprefix('histogram, ')}", value
    return _NAMES.get(name, name), value
