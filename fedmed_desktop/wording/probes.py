# SPDX-License-Identifier: Apache-2.0
"""Words on what an update may reveal: a plain sentence for each probe, its numbers, and one verdict over all.

The same sentences stand in the desktop, in the terminal and in the model card. None of them holds a note's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..federation.probes import RUN, Light, Missing, ProbeName, Probes, lights, worst
from ..federation.work import Entry
from .figures import written
from .translation import later, together, tr

NAMES: Final[dict[ProbeName, str]] = {
    "membership": later("Which notes were used"),
    "recall": later("Word for word"),
    "rare": later("Numbers, names, addresses"),
    "canaries": later("Planted records"),
}
LIGHTS: Final[dict[Light | None, str]] = {
    "green": later("nothing found"),
    "amber": later("look twice"),
    "red": later("reveals something"),
    None: later("not measured"),
}
UPDATE_ALONE: Final = later("From the update alone")
NOT_PROBED: Final = later(
    "Not measured for this update. An adapter can reveal something about the notes that it was trained on."
)
VERDICTS: Final[dict[Light | None, str]] = {
    "green": later("What was tried here found nothing in this adapter. That is no proof that there is nothing."),
    "amber": later("Look twice: somebody with this adapter might learn something about your notes."),
    "red": later("This adapter reveals something about your notes. Keep it here unless that would not matter."),
    None: later("Not everything could be measured. What was tried found nothing; that is no proof."),
}
_MISSING: Final[dict[Missing, str]] = {
    "off": later("Not asked for."),
    "none_found": later("Your notes hold none that the check of notes would find."),
    "too_few": later("Too few notes were trained on or held out."),
    "no_time": later("The time for it was too short."),
}


@dataclass(frozen=True)
class Revealed:
    """One row: its name, light, verdict, and the numbers behind it ("" where there are none)."""

    name: str
    light: Light | None
    sentence: str
    numbers: str = ""

    @property
    def word(self) -> str:
        """The light as a word."""
        return tr(LIGHTS[self.light])


def verdict(probes: Probes | None) -> str:
    """The sentence over all that was found."""
    return tr(VERDICTS[worst(probes)]) if probes else tr(NOT_PROBED)


def revealed(entry: Entry) -> Iterator[Revealed]:
    """A row for each probe of an update, and one on what the update alone gives away; none where no adapter leaves."""
    if entry.update.report.kind == "evaluate":
        return
    probes = entry.evidence.probes
    if probes is not None:
        for name, light in lights(probes):
            yield Revealed(tr(NAMES[name]), light, *_told(name, light, probes))
        yield Revealed(tr(UPDATE_ALONE), None, update_alone(entry))


def update_alone(entry: Entry) -> str:
    """Sentence on rebuilding notes from the update (gradient inversion): that depends on steps and rank.

    DAGER (Petrov et al., NeurIPS 2024, arXiv 2405.15586) rebuilds whole batches of up to 128 texts from one gradient.
    """
    report, plan = entry.update.report, entry.plan
    told = {"steps": written(report.steps), "notes": written(report.notes), "batch": plan.training.batch_size}
    if report.steps <= 1:
        return tr("It holds a single step, and from a single step published attacks can rebuild whole texts.")
    text = tr(
        "It sums {steps} steps of {batch} passages from {notes} notes at rank {rank}; published attacks "
        "rebuild texts from a single step. More steps, more notes and a lower rank make it harder; nothing here proves "
        "that it cannot be done."
    )
    return text.format(**told, rank=entry.evidence.rank)


def _told(name: ProbeName, light: Light | None, probes: Probes) -> tuple[str, str]:
    """Sentence and numbers of one probe."""
    if name in probes.missing:
        return tr(_MISSING[probes.missing[name]]), ""
    match name:
        case "membership":
            return _membership(light, probes)
        case "recall":
            return _recall(light, probes)
        case "rare":
            return _rare(light, probes)
        case "canaries":
            return _canaries(light, probes)


def _membership(light: Light | None, probes: Probes) -> tuple[str, str]:
    found = probes.membership
    assert found is not None
    words = {
        "green": tr("The attack tried here could hardly tell the notes trained on from others of yours."),
        "amber": tr("The attack tried here can sometimes tell whether a note was trained on."),
        "red": tr("The attack tried here can often tell whether a note was trained on."),
    }
    numbers = tr(
        "It is right for {share:.0%} of pairs of notes, {low:.0%} to {high:.0%} (guessing: 50%); {trained} notes that "
        "were trained on, {other} held out."
    )
    hits = "" if found.hits is None else tr("Finds {hits:.0%} of them at 1% false alarms (guessing: 1%).")
    return words[light or "green"], together(
        numbers.format(share=found.auc, low=found.low, high=found.high, trained=found.trained, other=found.held_out),
        hits.format(hits=found.hits or 0.0) if hits else "",
    )


def _recall(light: Light | None, probes: Probes) -> tuple[str, str]:
    found = probes.recall
    assert found is not None
    words = {
        "green": tr("No long passage of your notes came out word for word because of this round."),
        "amber": tr("A passage of your notes came out word for word that did not before this round."),
        "red": tr("A long passage of your notes came out word for word that did not before this round."),
    }
    numbers = tr(
        "Word parts in a row, beyond the model without this round: at most {beyond}; on held-out notes {usual}. In "
        "{share:.0%} of {trained} notes ({low:.0%} to {high:.0%}) there were {run} or more."
    )
    return words[light or "green"], numbers.format(
        beyond=found.beyond,
        usual=found.usual,
        run=RUN,
        share=found.share,
        trained=found.trained,
        low=found.low,
        high=found.high,
    )


def _rare(light: Light | None, probes: Probes) -> tuple[str, str]:
    found = probes.rare
    assert found is not None
    words = {
        "green": tr("The ones in your notes have hardly become easier to guess than invented ones."),
        "amber": tr("The ones in your notes have become somewhat easier to guess."),
        "red": tr("The ones in your notes have become much easier to guess."),
    }
    numbers = tr(
        "{relative:.1f} times as likely as invented ones of the same form, {low:.1f} to {high:.1f} (no leak: 1); "
        "{strings} found, the most {largest:,.1f} times."
    )
    return words[light or "green"], numbers.format(
        relative=found.relative, low=found.low, high=found.high, strings=found.strings, largest=found.largest
    )


def _canaries(light: Light | None, probes: Probes) -> tuple[str, str]:
    words = {
        "green": tr("Invented records that were trained on are hardly known better than others."),
        "amber": tr("Invented records that were trained on are known a little."),
        "red": tr("Invented records that were trained on are known: a real one seen as often would be too."),
    }
    each = tr("seen {repeats} times: {exposure:.1f} bits ({low:.1f} to {high:.1f}, at most {most:.0f})")
    return words[light or "green"], "; ".join(each.format(**one.model_dump()) for one in probes.canaries) + "."
