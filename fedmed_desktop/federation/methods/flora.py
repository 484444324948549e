# SPDX-License-Identifier: Apache-2.0
"""FLoRA (arXiv 2409.05976): stacks the updates without loss, adds the stack to the base, and starts afresh.

Weights (by notes) stand on A alone: on both factors they would count twice, as a check of methods 4.4 shows. The stack
lies frozen beside the base, so bases in 4 bits are served too; it is cut back to `lora.frozen_rank` by QR and SVD
once it is larger (methods 4.4 suggests so; the paper merges into the base). Each round begins with A from a
seed and B = 0. It is FedAvg with `combine = "stack"`, under its own name.
"""

from __future__ import annotations

from typing import Literal

from .method import WeighedByNotes


class Flora(WeighedByNotes):
    name: Literal["flora"] = "flora"
