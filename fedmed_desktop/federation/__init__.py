# SPDX-License-Identifier: Apache-2.0
"""Rules of the federation: specification, rounds, methods, aggregation, drift. No I/O, clock, thread or torch."""

from .plan import Plan, TrainingSettings
from .rounds import Rounds
from .scalars import scalars
from .spec import FederationSpec, dump_spec, load_spec
from .update import Part, Report, Update
from .work import Control, Given, LocalResult, Scorer, Stopped, Trainer

__all__ = [
    "Control",
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
