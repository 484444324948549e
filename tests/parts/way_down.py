# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of common adapters that travel in fewer bits: large enough that a difference is smaller."""

from __future__ import annotations

from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings
from fedmed_desktop.lora import Adapter
from tests.parts.federation import FINGERPRINT, small_spec

LORA = LoraSettings(rank=4, alpha=8)
SHAPES = {"model.layers.0.self_attn.q_proj": (160, 96), "model.layers.0.mlp.up_proj": (200, 96)}
FIRST = Adapter.initial(SHAPES, LORA.rank, LORA.scale, seed=0)
DOWN = TransferSettings(dtype="int4", down=True)


def down_spec(**changes: object) -> FederationSpec:
    """A federation whose updates and common adapters both travel in 4 bits."""
    base = BaseModelSpec(fingerprint=FINGERPRINT, initial=FIRST.sha256, modules=SHAPES)
    return small_spec(**({"base": base, "lora": LORA, "transfer": DOWN} | changes))  # type: ignore[arg-type]
