# SPDX-License-Identifier: Apache-2.0
"""The only package that knows torch: base models, batches, the training loop, generation, evaluation.

Importing it sets what libraries read once, when they load: the hub's offline switches, and how torch's threads wait.
"""

from __future__ import annotations

import logging
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Torch's threads (libgomp, on Linux) spin while they wait, and then hold a core that another program wants. With other
# programs at work on two cores a short spin made steps 1.6 to 5 times faster (two interleaved pairs of 4 steps); what
# it costs on an idle machine is not measured.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# It warns at import of a missing kernel package, which is not needed here.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
