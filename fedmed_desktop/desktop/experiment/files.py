# SPDX-License-Identifier: Apache-2.0
"""The folder of an experiment, read. Not for the GUI thread."""

from __future__ import annotations

from pathlib import Path

from ...storage.results import read_results
from .comparison import Experiment, experiment_of


def open_experiment(folder: Path) -> Experiment:
    """Reads and compares: seconds for a large one. Raises UserFacingError, as read_results."""
    return experiment_of(read_results(folder))
