# SPDX-License-Identifier: Apache-2.0
"""The only package that knows torch: base models, batches, the training loop, generation, evaluation.

Importing it turns the hub's switches to offline before any library can read them: nothing here reaches a network.
"""

from __future__ import annotations

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
