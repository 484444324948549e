# SPDX-License-Identifier: Apache-2.0
"""The only package that knows torch: base models, batches, the training loop, generation, evaluation.

Importing it sets what libraries read only once, when they are loaded: the hub's switches, to offline (nothing here
reaches a network), and how long torch's threads wait for each other.
"""

from __future__ import annotations

import logging
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Torch's threads spin while they wait. Where another program wants the core that a waiting thread holds, training was
# measured to become ten times slower; with this short spin it loses about what the other program takes.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Says at import that a kernel package is missing which nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
