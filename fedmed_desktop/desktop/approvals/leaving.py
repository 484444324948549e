# SPDX-License-Identifier: Apache-2.0
"""Contents of an update that would leave this computer, by name and value, and what stays. No Qt."""

from __future__ import annotations

from typing import Final

from ...federation import Plan, Report, scalars
from ...federation.spec import FederationSpec
from ...federation.work import Entry
from ...wording import amount, later, together, tr, written
from .card_row import Line

# A count below this may point to single patients: the usual floor of published tables; taken over here, so inferred.
FEW: Final = 5

_PARTS: Final = {
    "adapter": later("adapter"),
    "control": later("change of the correction (control variate)"),
    "masked": later("masked adapter"),
}
_FORMS: Final = {
    "bfloat16": later("difference, 16 bits"),
    "int8": later("difference, 8 bits"),
    "int4": later("difference, 4 bits"),
}
# What a histogram counts -> its rows in the table.
_COUNTED: Final = {
    "specialties": later("notes of specialty {name}"),
    "types": later("entities of type {name}"),
    "none": later("count of {name}"),
}
_IMPORTANCE: Final = "importance by layer, "
_NAMES: Final = {"shared loss": later("loss on shared notes")}


def leaves(entry: Entry, spec: FederationSpec | None, address: str) -> tuple[Line, ...]:
    """The card: where to, how much, and what never goes."""
    report = entry.update.report
    lines = [Line(tr("To"), _host(address), full=address), *_parts(entry), *_masked(entry)]
    if kinds := len(report.histogram):
        match spec.share.histogram if spec else "none":
            case "specialties":
                count = tr("%n specialties", "", kinds)
            case "types":
                count = tr("%n type(s)", "", kinds)
            case _:
                count = tr("%n kind(s)", "", kinds)
        lines.append(Line(tr("Counts of your notes"), count))
    if report.shared_loss is not None:
        lines.append(Line(tr("Loss on shared notes"), written(report.shared_loss, ".2f")))
    return (*lines, Line(tr("Note text"), tr("none")), Line(tr("Your reason"), tr("never sent")))


def _parts(entry: Entry) -> list[Line]:
    """One whole adapter is its size and nothing else to say."""
    parts, shared = entry.update.parts, entry.plan.shared
    if not parts:
        return [Line(tr("Adapter"), tr("none, scores only"))]
    lines = _form(entry.plan)
    if len(parts) == 1 and len(shared) > 1:
        size = entry.update.size
        return [Line(tr("Size"), amount(size), full=tr("%n byte(s)", "", size)), *lines]
    for name, part in sorted(parts.items()):
        is_half = name == "adapter" and len(shared) == 1
        half = tr("factor {factor} only, {size}") if is_half else "{size}"
        sizes = [half.format(factor=shared[0], size=s) for s in (amount(part.size), tr("%n byte(s)", "", part.size))]
        lines.append(Line(_capital(part_name(name)), sizes[0], full=sizes[1]))
    return lines


def _form(plan: Plan) -> list[Line]:
    """The form of an update that does not travel as it is."""
    dtype = plan.transfer.dtype
    return [] if dtype == "float32" else [Line(tr("Form"), tr(_FORMS[dtype]))]


def _masked(entry: Entry) -> list[Line]:
    """Sites that mask together, and the words that these see: other words mean that the coordinator made sites up."""
    among = entry.evidence.masked
    if among is None:
        return []
    lines = [Line(tr("Masked with"), ", ".join(among.sites)), Line(tr("Words that all these sites see"), among.phrase)]
    if among.clipped:
        text = tr("{some} of {all}").format(some=written(among.clipped), all=written(among.values))
        lines.append(Line(tr("Values cut off"), text))
    return lines


def alone(entry: Entry) -> str:
    """A sentence about what nobody can see; "" where updates are not masked."""
    if entry.evidence.masked is None:
        return ""
    return tr(
        "The coordinator cannot see this update alone: only the sum of the masked adapters of these sites can be "
        "opened. All numbers leave as they are."
    )


def part_name(name: str) -> str:
    """A name that a person understands for this part of an update."""
    return tr(_PARTS[name]) if name in _PARTS else name


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _host(address: str) -> str:
    """Address without the scheme, which says nothing to most people; the whole address stands in the sheet's head."""
    return address.partition("://")[2] or address


def stays(plan: Plan) -> str:
    """A sentence about what the method leaves at the site; "" where it leaves nothing there."""
    with_it = tr("The scores are of the model with it.") if plan.kind == "evaluate" else ""
    if plan.orthogonal:
        return together(tr("Your personal adapter: no byte of it is in this update."), with_it)
    if plan.own:
        text = tr("Factor {factors} of your adapter: no byte of it is in this update.")
        return together(text.format(factors=" + ".join(plan.own)), with_it)
    if plan.variate and plan.kind == "train":
        return tr(
            "Your correction (control variate): its change in this round leaves, and all these changes add up to it."
        )
    return ""


def rounding(plan: Plan) -> str:
    """A sentence about what rounding takes and brings along, which nobody sees in the numbers; "" where nothing is."""
    if plan.kind != "train" or not plan.transfer.feeds_back:
        return ""
    return tr(
        "What rounding took from your earlier updates leaves with this one; what it takes now stays for the next."
    )


def few(report: Report) -> str:
    """A warning where a count is so small that it may point to single patients; "" else."""
    small = sum(0 < count < FEW for count in report.histogram.values())
    if not small:
        return ""
    text = tr("%n of your counts are below {few}: a rare kind of note can point to single patients.", "", small)
    return text.format(few=FEW)


def numbers(entry: Entry, spec: FederationSpec | None) -> tuple[tuple[str, str], ...]:
    """Every blob and every scalar of the update by its name; nothing else leaves."""
    rows = [(tr("update"), entry.sha256), (tr("round"), str(entry.update.round))]
    for name, part in sorted(entry.update.parts.items()):
        words = part_name(name)
        rows += [(tr("bytes of {part}").format(part=words), written(part.size))]
        rows += [(tr("sha256 of {part}").format(part=words), part.sha256)]
    counted = _COUNTED[spec.share.histogram if spec else "none"]
    return (*rows, *(_plainly(row, counted) for row in scalars(entry.update.report)))


def _plainly(row: tuple[str, str], counted: str) -> tuple[str, str]:
    name, value = row
    if name == "kind":
        return tr("what"), tr("adapter after training") if value == "train" else tr("scores of the final adapter")
    if name.startswith("histogram, "):
        return tr(counted).format(name=name.removeprefix("histogram, ")), value
    if name.startswith(_IMPORTANCE):
        return tr("importance of {name}, by layer").format(name=name.removeprefix(_IMPORTANCE)), value
    return tr(_NAMES[name]) if name in _NAMES else name, value
