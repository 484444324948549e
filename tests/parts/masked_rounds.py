# SPDX-License-Identifier: Apache-2.0
"""Masked rounds without sockets: the product's rounds and maskers, and sites that do as they are asked or are gone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from fedmed_desktop.federation import Control, FederationSpec, Given, LocalResult, Part, Plan, Rounds
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.inputs import (
    AgreementArrived,
    Input,
    KeysArrived,
    RevealArrived,
    SharesArrived,
    SiteJoined,
    UpdateArrived,
)
from fedmed_desktop.federation.masked import layout
from fedmed_desktop.federation.secure_aggregation import (
    Layout,
    Masker,
    Numbers,
    Secrets,
    Session,
    blob_of,
    encoded,
    numbers_of,
    total,
)
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.half import open_update
from tests.parts.masking import drawing
from tests.parts.plan import MethodTrainer

FEDERATION = hashlib.sha256(b"federation").hexdigest()
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class MaskedSite:
    """One site. `there`: whether it is connected; `willing`: whether its operator sends."""

    def __init__(self, name: str, spec: FederationSpec, folder: Path) -> None:
        self.name, self.spec, self.folder = name, spec, folder
        self.there = self.willing = True
        self.key = PrivateKey(hashlib.sha256(name.encode()).digest())
        self.random = drawing(int.from_bytes(name.encode(), "big"))
        self.trainer = MethodTrainer(ord(name[0]) - 60)
        self.own: dict[str, Adapter] = {}
        self.known: dict[str, str] = {}
        self.disk = ""  # what the site remembers of masks
        self.trained: dict[int, LocalResult] = {}
        self.blobs: dict[str, bytes] = {}
        self.plain: dict[str, Numbers] = {}  # by the sha256 of the masked update

    @property
    def masker(self) -> Masker | None:
        return Masker(Secrets.model_validate_json(self.disk)) if self.disk else None

    def _keep(self, masker: Masker) -> None:
        self.disk = masker.secrets.model_dump_json()

    def next(self, rounds: Rounds, start: Callable[[str], Adapter]) -> Input | None:
        """What it says next, as the coordinator has told it where things stand; None where it has nothing to say.

        Each time from its disk, so a restart comes in between whenever that can make a difference.
        """
        state, exchange = rounds.state, rounds.state.masking
        at = {"site": self.name, "round": state.round}
        if exchange is None:
            return None
        masker = self.masker
        if masker is None or masker.secrets.session.round < state.round:
            masker = None
        elif masker.secrets.session.number < exchange.number:
            assert not masker.secrets.agreed
            masker = None
        if exchange.survivors:
            if masker is None or self.name not in exchange.members or masker.secrets.session.number != exchange.number:
                return None
            return self._opens(rounds, masker, at)
        if self.name not in state.plans:
            return None
        if not exchange.roster:
            if masker is None:
                session = Session(
                    federation=FEDERATION,
                    round=state.round,
                    layout=layout(self.spec, state).sha256,
                    number=exchange.number,
                )
                how = state.plans[self.name].masking
                assert how is not None
                masker = Masker.begin(self.name, self.key, session, how, self.random)
                self._keep(masker)
            if self.name in exchange.keys:
                return None
            return KeysArrived(**at, number=exchange.number, federation=FEDERATION, keys=masker.keys)
        if masker is None:
            return None
        keys = {one: exchange.keys[one] for one in exchange.roster}
        self.known = self.known or {one: each.identity for one, each in keys.items()}
        boxes = masker.shared(keys, self.known, self.random)
        self._keep(masker)
        if not exchange.members:
            return SharesArrived(**at, number=exchange.number, boxes=boxes) if self.name not in exchange.boxes else None
        masker.received({one: exchange.boxes[one][self.name] for one in exchange.members if one != self.name})
        self._keep(masker)
        if self.name in state.updates or not self.willing:
            return None
        return self._update(state.plans[self.name], masker, start)

    def _opens(self, rounds: Rounds, masker: Masker, at: dict[str, object]) -> Input | None:
        exchange, masking = rounds.state.masking, self.spec.masking
        assert exchange is not None and masking is not None
        if self.name not in exchange.agreements:
            masker.received({one: exchange.boxes[one][self.name] for one in exchange.members if one != self.name})
            signature = masker.agree(self.key, exchange.survivors)
            self._keep(masker)
            return AgreementArrived(**at, signature=signature)
        if self.name not in exchange.reveals and len(exchange.agreements) >= exchange.threshold(masking):
            reveal = masker.reveal(exchange.agreements)
            self._keep(masker)
            return RevealArrived(**at, reveal=reveal)
        return None

    def _update(self, plan: Plan, masker: Masker, start: Callable[[str], Adapter]) -> UpdateArrived:
        begun = start(plan.start)
        if plan.round not in self.trained:
            given = Given(begun, own=self.own)
            result = self.trainer.train_round(plan, given, Path(), lambda event: None, Control())
            self.own = {**self.own, **result.own}
            self.trained[plan.round] = result
        result, how = self.trained[plan.round], plan.masking
        assert how is not None
        form = Layout.of(plan.start, self.spec.base.modules, plan.shared, plan.rank, how)
        path = self.folder / f"{self.name}-update"
        path.write_bytes(result.blobs["adapter"])
        weight = self.spec.method.own_weight(result.update.report, how.largest_weight)
        with open_update(path, plan.shared, begun) as after:
            numbers = encoded(form, begun, after, weight, len(masker.members)).numbers
        plain = numbers.copy()
        masker.mask(numbers)
        blob = blob_of(form, numbers)
        part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
        update = result.update.model_copy(update={"parts": {"masked": part}})
        self.blobs[part.sha256], self.plain[part.sha256] = blob, plain
        return UpdateArrived(site=self.name, update=update)


class MaskedFederation:
    """Rounds with such sites; `combines` is called with each combination that falls due, and gives what came of it."""

    def __init__(self, spec: FederationSpec, names: str, folder: Path, initial: Adapter) -> None:
        self.spec, self.now = spec, BEGAN
        self.rounds = Rounds(spec)
        self.sites = {name: MaskedSite(name, spec, folder) for name in names}
        self.adapters = {initial.sha256: initial}
        self.due: list[Combine] = []

    def give(self, given: Input) -> bool:
        """Feeds an input; whether it changed anything."""
        before = self.rounds.dump()
        step = self.rounds.handle(given, self.now)
        assert step.changed or self.rounds.dump() == before
        self.due += [action for action in step.actions if isinstance(action, Combine)]
        return step.changed

    def join(self) -> None:
        for name in self.sites:
            self.give(SiteJoined(site=name))

    def say(self, name: str) -> bool:
        """Lets one site say its next thing; False if it has none, or nobody needs to hear it any more."""
        site = self.sites[name]
        given = site.next(self.rounds, self.adapters.__getitem__) if site.there else None
        return given is not None and self.give(given)

    def settle(self) -> None:
        """Until nobody has anything to say."""
        said = True
        while said:
            said = max(list(map(self.say, self.sites)))

    def wait(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


def is_the_sum(due: Combine, sites: dict[str, MaskedSite], spec: FederationSpec) -> bool:
    """Whether what opens is the sum of what the sites would have sent without masks."""
    assert due.opening is not None
    plan = next(iter(due.plans.values()))
    form = Layout.of(due.start, spec.base.modules, plan.shared, plan.rank, due.opening.masking)
    parts = {site: update.parts["masked"].sha256 for site, update in due.updates.items()}
    masked = [numbers_of(form, sites[site].blobs[sha256]) for site, sha256 in parts.items()]
    plain = np.zeros(form.length, dtype=np.uint32)
    for site, sha256 in parts.items():
        plain += sites[site].plain[sha256]
    assert due.opening.survivors == tuple(sorted(parts))
    plain &= np.uint32(2**form.masking.bits - 1)
    return np.array_equal(total(due.opening, masked, form.length), plain)
