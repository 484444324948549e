# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of secure aggregation: sites that mask, and a coordinator that carries what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np

from fedmed_desktop.federation.secure_aggregation import (
    Keys,
    Layout,
    Masker,
    Masking,
    Numbers,
    Opening,
    Reveal,
    Secrets,
    Session,
    encoded,
    total,
)
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter
from tests.parts.federation import INITIAL, SHAPES, moved

HOW = Masking(clip=0.5, largest_weight=1000, threshold=0.5)
LAYOUT = Layout.of(INITIAL.sha256, SHAPES, ("A", "B"), 2, HOW)
FEDERATION = hashlib.sha256(b"federation").hexdigest()
SESSION = Session(federation=FEDERATION, round=1, layout=LAYOUT.sha256)

Step = Literal["keys", "shares", "upload", "agree", "reveal"]


def drawing(seed: int) -> Callable[[int], bytes]:
    """Bytes that are the same in every run: what is measured on them does not depend on luck."""
    return np.random.Generator(np.random.PCG64(seed)).bytes


def key_of(name: str) -> PrivateKey:
    """The identity of a site, the same in every run."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


class Site:
    """One site with its update; `lost`: the step before which it is gone."""

    def __init__(self, name: str, number: int, session: Session = SESSION, lost: Step | None = None) -> None:
        self.name, self.lost, self.session = name, lost, session
        self.random = drawing(number)
        self.key = key_of(name)
        self.weight = (number % 100 + 1) / 1000
        self.after = moved(INITIAL, number, size=0.02)
        self.masker = Masker.begin(name, self.key, session, HOW, self.random)

    def restart(self) -> None:
        """Continues from what is on its disk."""
        self.masker = Masker(Secrets.model_validate_json(self.masker.secrets.model_dump_json()))

    def numbers(self, sites: int) -> Numbers:
        return encoded(LAYOUT, INITIAL, self.after, self.weight, sites).numbers

    def upload(self, sites: int) -> Numbers:
        numbers = self.numbers(sites)
        self.masker.mask(numbers)
        return numbers


class Run:
    """One session from the first key to the sum, as an honest coordinator carries it.

    `before(step, site)` is called before each step of each site.
    """

    def __init__(self, sites: Collection[Site], before: Callable[[Step, Site], None] = lambda step, site: None) -> None:
        self.sites = {site.name: site for site in sites}
        self.before = before
        self.keys: dict[str, Keys] = {}
        self.uploads: dict[str, Numbers] = {}
        self.reveals: dict[str, Reveal] = {}
        self.members: tuple[str, ...] = ()
        self.survivors: tuple[str, ...] = ()

    def at(self, step: Step, among: Collection[str]) -> list[Site]:
        """The sites that are still there at a step."""
        order: list[Step] = ["keys", "shares", "upload", "agree", "reveal"]
        there = [
            site
            for name, site in sorted(self.sites.items())
            if name in among and (site.lost is None or order.index(site.lost) > order.index(step))
        ]
        for site in there:
            self.before(step, site)
        return there

    def exchange(self) -> None:
        """Keys and shares: afterwards all members can mask."""
        self.keys = {site.name: site.masker.keys for site in self.at("keys", self.sites)}
        known = self.known()
        boxes = {site.name: site.masker.shared(self.keys, known, site.random) for site in self.at("shares", self.keys)}
        self.members = tuple(sorted(boxes))
        for name in self.members:
            site = self.sites[name]
            site.masker.received({one: each[name] for one, each in boxes.items() if one != name})

    def known(self) -> dict[str, str]:
        return {name: site.key.public for name, site in self.sites.items()}

    def opened(self) -> Opening:
        """All five steps."""
        self.exchange()
        self.uploads = {site.name: site.upload(len(self.members)) for site in self.at("upload", self.members)}
        self.survivors = tuple(sorted(self.uploads))
        agreements = {site.name: site.masker.agree(site.key, self.survivors) for site in self.at("agree", self.members)}
        self.reveals = {site.name: site.masker.reveal(agreements) for site in self.at("reveal", agreements)}
        return self.opening()

    def opening(self, reveals: Mapping[str, Reveal] | None = None) -> Opening:
        return Opening(
            session=next(iter(self.sites.values())).session,
            masking=HOW,
            keys=self.keys,
            members=self.members,
            survivors=self.survivors,
            reveals=dict(self.reveals if reveals is None else reveals),
        )

    def sum(self, opening: Opening) -> Numbers:
        return total(opening, [self.uploads[name] for name in opening.survivors], LAYOUT.length)

    def plain(self) -> Numbers:
        """The sum of what the survivors would have sent without masks."""
        found = np.zeros(LAYOUT.length, dtype=np.uint32)
        for name in self.survivors:
            found += self.sites[name].numbers(len(self.members))
        return found


def average(sites: Collection[Site]) -> Adapter:
    """The plain weighted average of their factors."""
    from fedmed_desktop.federation.combine import Term, combine_factors

    whole = sum(site.weight for site in sites)
    return combine_factors([Term(site.name, site.weight / whole, site.after) for site in sites]).adapter
