# SPDX-License-Identifier: Apache-2.0
"""FLoRA (arXiv 2409.05976): stacks the updates without loss, adds the stack to the base and starts again.

Weights (by notes) apply to A alone; on both factors they would count twice. The paper merges the stack into the base.
Here it lies frozen beside the base, so 4-bit bases work too, and is cut back to `lora.frozen_rank` by QR and SVD when
it grows larger (inferred). Each round starts with A from a seed and B = 0. The same as FedAvg with `combine = "stack"`.
"""

from __future__ import annotations

from typing import Literal

from .method import WeighedByNotes


class Flora(WeighedByNotes):
    name: Literal["flora"] = "flora"
