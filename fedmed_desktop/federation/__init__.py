# SPDX-License-Identifier: Apache-2.0
"""The federation's rules: specification, rounds, methods, combination, drift. No I/O, no clock, no thread, no torch."""

from .plan import Plan, TrainingSettings
from .rounds import Rounds
from .scalars import scalars
from .spec import FederationSpec, dump_spec, load_spec
from .update import Part, Report, Update
from .work import Control, Evidence, Given, LocalResult, Scorer, Stopped, Trainer

__all__ = [
    "Control",
    "Evidence",
    "FederationSpec",
    "Given",
    "LocalResult",
    "Part",
    "Plan",
    "Report",
    "Rounds",
    "Scorer",
    "Stopped",
    "Trainer",
    "TrainingSettings",
    "Update",
    "dump_spec",
    "load_spec",
    "scalars",
]
