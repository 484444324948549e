# SPDX-License-Identifier: Apache-2.0
"""Assignment of groups of notes to sites: each site's share of every label, then groups by these shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UserFacingError
from .choices import Of, SplitSettings
from .corpora import LabNote, Split

Numbers = NDArray[np.float64]

_LEAST_SHARE = 1e-6  # a Dirichlet draw may be 0 to the last bit, and such a label must have some taker too
_NOTHING = 1e-9  # notes


@dataclass(frozen=True)
class Group:
    """Notes that stay together; `label` decides which sites they may go to, `split` the strictest of the notes' own."""

    notes: tuple[LabNote, ...]
    label: str
    split: Split | None


def grouped(notes: Iterable[LabNote], split: SplitSettings) -> list[Group]:
    """The groups in the order of their first notes; with corpora apart, those of a group's first corpus only.

    Raises UserFacingError if a note has nothing to be split by.
    """
    together: dict[str, list[LabNote]] = {}
    for one in notes:
        known = together.setdefault(one.group, [])
        if split.by != "corpus" or not known or known[0].corpus == one.corpus:
            known.append(one)
    return [Group(tuple(there), _label(there, split), _strictest(there)) for there in together.values()]


def _strictest(notes: Sequence[LabNote]) -> Split | None:
    """Keeps test notes of one corpus out of the training notes of the others."""
    order: tuple[Split, ...] = ("test", "validation", "train")
    return next((split for split in order if any(one.split == split for one in notes)), None)


def _label(notes: Sequence[LabNote], split: SplitSettings) -> str:
    """The most frequent label of the notes; of equally frequent ones the first by name."""
    if split.by == "corpus":
        return notes[0].corpus
    if split.of is None:
        return ""
    labels = Counter(_label_of(one, split.of) for one in notes)
    return min(labels, key=lambda label: (-labels[label], label))


def _label_of(one: LabNote, of: Of) -> str:
    if of == "types":
        types = Counter(entity.type for entity in one.note.entities if not one.types or entity.type in one.types)
        return min(types, key=lambda name: (-types[name], name), default="")
    label = one.chapter if of == "chapters" else one.note.specialty
    if label is None:
        what = "ICD-10 code" if of == "chapters" else "specialty"
        raise UserFacingError("lab.no_label", corpus=one.corpus, what=what)
    return label


def dealt(groups: Sequence[Group], split: SplitSettings, sites: int, rng: np.random.Generator) -> list[list[Group]]:
    """The groups of each site, dealt out within each label and official split by the same shares.

    Raises UserFacingError if some site would have none.
    """
    if len(groups) < sites:
        raise UserFacingError("lab.few_notes", groups=len(groups), sites=sites)
    shares = _shares(groups, split, sites, rng)
    piles: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        piles.setdefault((group.label, group.split or ""), []).append(group)
    found: list[list[Group]] = [[] for _ in range(sites)]
    owed = np.zeros(sites)  # carried from pile to pile: small ones would all be rounded in favour of the same site
    for label, official in sorted(piles):
        pile = piles[label, official]
        owed += shares[label] * sum(len(group.notes) for group in pile)
        for at in rng.permutation(len(pile)):
            site = int(np.argmax(np.where(shares[label] > _LEAST_SHARE, owed, -np.inf)))
            found[site].append(pile[at])
            owed[site] -= len(pile[at].notes)
    return found


def _shares(
    groups: Sequence[Group], split: SplitSettings, sites: int, rng: np.random.Generator
) -> Mapping[str, Numbers]:
    """Finds for each label the part of its notes that each site gets."""
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.label] += len(group.notes)
    wanted = np.array(split.site_shares(sites))
    if split.by == "iid":
        return dict.fromkeys(counts, wanted)
    if split.by == "corpus":
        return _corpora_in_turn(list(counts), wanted)
    labels = sorted(counts)
    if split.by == "dirichlet":
        assert split.alpha is not None
        return _mixed(labels, np.array([float(counts[label]) for label in labels]), wanted, split.alpha, rng)
    if len(labels) < sites:
        raise UserFacingError("lab.few_labels", by=split.by, found=len(labels), sites=sites)
    return _whole([labels[at] for at in rng.permutation(len(labels))], counts, wanted)


def _corpora_in_turn(corpora: Sequence[str], wanted: Numbers) -> dict[str, Numbers]:
    """Corpus j goes to the sites j, j + corpora, ...; with fewer sites than corpora, to site j modulo sites."""
    shares: dict[str, Numbers] = {}
    for number, corpus in enumerate(corpora):
        at = np.arange(len(wanted))
        own = at % len(corpora) == number if len(wanted) >= len(corpora) else at == number % len(wanted)
        shares[corpus] = np.where(own, wanted, 0.0) / wanted[own].sum()
    return shares


def _whole(labels: Sequence[str], counts: Mapping[str, int], wanted: Numbers) -> dict[str, Numbers]:
    """Each label to the site that has least of what it is to have: the first ones go round, and none stays empty."""
    shares: dict[str, Numbers] = {}
    has = np.zeros(len(wanted))
    for label in labels:
        site = int(np.argmin(has / wanted))
        has[site] += counts[label]
        shares[label] = np.eye(len(wanted))[site]
    return shares


def _mixed(
    labels: Sequence[str], counts: Numbers, wanted: Numbers, alpha: float, rng: np.random.Generator
) -> dict[str, Numbers]:
    """Each site draws a mix of labels and fills itself by it (Hsu et al. 2019, arXiv 1909.06335).

    When a label has run out the rest of the mix stands in, so all sites get their sizes, and the last what is left.
    """
    taken = np.zeros((len(labels), len(wanted)))
    left = counts.copy()
    for site in rng.permutation(len(wanted)):
        mix = np.maximum(rng.dirichlet(alpha * len(labels) * counts / counts.sum()), _LEAST_SHARE)
        room = wanted[site] * counts.sum()
        # Every pass fills the site or empties a label.
        for _ in labels:
            there = mix * (left > _NOTHING)
            if room < _NOTHING or not there.any():
                break
            now = np.minimum(left, there / there.sum() * room)
            taken[:, site] += now
            left -= now
            room -= now.sum()
    taken /= taken.sum(axis=1, keepdims=True)
    return dict(zip(labels, taken, strict=True))
