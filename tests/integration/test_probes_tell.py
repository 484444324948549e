# SPDX-License-Identifier: Apache-2.0
"""The probes tell adapters that have learned their notes by heart from those that have not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.federation.probes import light
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from tests.parts.probing import bundled_notes, trained_round

if TYPE_CHECKING:
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.probes.intervals import auc

EACH = 10


@pytest.mark.slow
def test_that_adapters_that_learned_notes_by_heart_are_told_from_those_that_did_not(
    tiny_model: Path, tmp_path: Path
) -> None:
    base, notes = BaseModel.load(tiny_model, choose_device(prefer="cpu"), 1), bundled_notes()
    start = Adapter.initial(decoder_linears(tiny_model), rank=8, scale=2.0, seed=1)
    found = {
        by_heart: [
            trained_round(base, start, notes, tmp_path / f"{by_heart}-{seed}", seed, by_heart=by_heart)
            for seed in range(EACH)
        ]
        for by_heart in (True, False)
    }
    for name, number in (
        ("membership", lambda probes: probes.membership.auc),
        ("recall", lambda probes: probes.recall.beyond),
    ):
        of = {by_heart: np.array([float(number(one)) for one in probes]) for by_heart, probes in found.items()}
        told = auc(of[True], of[False])
        print(f"{name}: by heart {sorted(of[True].tolist())}, once {sorted(of[False].tolist())}, AUC {told:.3f}")
        assert told >= 0.95
    assert {light("membership", one, one.limits) for one in found[True]} == {"red"}
    assert "red" not in {light("membership", one, one.limits) for one in found[False]}
