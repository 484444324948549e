# SPDX-License-Identifier: Apache-2.0
"""Which files are read together where a federation's adapter, or this site's own model, is tried on a note."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop import events
from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.desktop.trial.choices import BASE, BLOB, OWN, TrialWish, choices, request_for
from fedmed_desktop.desktop.trial.files import load
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, Given, Plan, TrainingSettings
from fedmed_desktop.federation.objectives import Orthogonal
from fedmed_desktop.lora import Adapter
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.own import OwnStore
from tests.parts.federation import INITIAL, moved
from tests.parts.plan import MethodTrainer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, FROZEN = moved(INITIAL, 7), moved(INITIAL, 8)


class Site:
    """A site's folder with one trained round, and a desk that shows it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.blobs = BlobStore(folder / "blobs")
        self.own = OwnStore(folder / "own")
        self.outbox = Outbox(folder / "site.sqlite", self.blobs)
        for adapter in (INITIAL, SECOND, FROZEN):
            self.blobs.write(adapter.to_blob())
        training = TrainingSettings(steps=1)
        plan = Plan(round=1, start=INITIAL.sha256, rank=2, training=training, seed=1, **changes)
        self.result = MethodTrainer().train_round(plan, Given(INITIAL), folder, lambda event: None, Control())
        self.own.keep(1, self.result.own)
        self.outbox.put(plan, self.result, NOW)
        self.desk = Desk()
        started = SessionStarted("site", "A", "here", ("A",), folder, folder)
        self.desk.fold([started, self.outbox.record()])

    def fetched(self, frozen: str | None = None) -> None:
        self.desk.fold([events.PlanFetched(site="A", round=2, start=SECOND.sha256, frozen=frozen)])

    def keys(self) -> dict[str, str]:
        return {choice.label: choice.key for choice in choices(self.desk)}

    def load(self, key: str) -> tuple[Adapter, Adapter | None, Adapter | None]:
        def blob(sha256: str) -> Path | None:
            return self.blobs.path(sha256) if sha256 in self.blobs else None

        wish = TrialWish("A note.", ("drug",), BASE, key)
        reads = request_for(wish, self.desk, DemoOptions().model, blob, self.own.paths_before(99)).sides["right"]
        assert reads is not None
        loaded = load(reads)
        return loaded.adapter, loaded.frozen, loaded.personal


def test_that_a_federations_adapter_is_read_with_what_lies_frozen_beside_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.fetched(FROZEN.sha256)
    keys = site.keys()
    assert "This site's model, round 1" not in keys
    assert site.load(keys["Federation, round 1"]) == (SECOND, FROZEN, None)
    site.outbox.remember("final frozen", FROZEN.sha256)
    site.outbox.remember("final", SECOND.sha256)
    site.desk.fold([site.outbox.record()])
    assert site.load(site.keys()["Federation, final"]) == (SECOND, FROZEN, None)


def test_that_this_sites_model_is_read_with_its_personal_adapter_and_the_federations_without(tmp_path: Path) -> None:
    site = Site(tmp_path, objective=(Orthogonal(weight=0.1, rank=3),))
    site.fetched()
    keys = site.keys()
    personal = site.result.own["personal"]
    assert site.load(keys["This site's model, round 1"]) == (SECOND, None, personal)
    assert site.load(keys["Federation, round 1"]) == (SECOND, None, None)
    update = Adapter.from_blob(site.result.blobs["adapter"])
    assert site.load(keys["Waiting for your approval"]) == (update, None, personal)
    site.outbox.remember("final", SECOND.sha256)
    site.desk.fold([site.outbox.record()])
    assert site.load(site.keys()["This site's model, final"]) == (SECOND, None, personal)


def test_that_a_sites_own_b_stands_in_and_half_an_update_is_completed(tmp_path: Path) -> None:
    own_b = Site(tmp_path / "fedsa", own=("B",))
    own_b.fetched()
    adapter, *_ = own_b.load(own_b.keys()["This site's model, round 1"])
    for name, module in adapter.items():
        np.testing.assert_array_equal(module.A, SECOND[name].A)
        np.testing.assert_array_equal(module.B, own_b.result.own["B"][name].B)
    assert own_b.load(own_b.keys()["Waiting for your approval"])[0] == own_b.result.own["B"], "both as trained here"
    frozen_a = Site(tmp_path / "ffa", freeze=("A",))
    adapter, *_ = frozen_a.load(frozen_a.keys()["Waiting for your approval"])
    for name, module in adapter.items():
        np.testing.assert_array_equal(module.A, INITIAL[name].A)
        assert np.abs(module.B).max() > 0


def test_that_a_file_that_is_no_longer_here_is_a_sentence(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for key in (f"{BLOB}{'e' * 64}", f"{OWN}{'e' * 64}"):
        with pytest.raises(UserFacingError) as missing:
            site.load(key)
        assert missing.value.code == "storage.no_blob"
