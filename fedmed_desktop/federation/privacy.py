# SPDX-License-Identifier: Apache-2.0
"""Settings that differential privacy cannot be combined with, since its epsilon would not hold; refused at founding."""

from __future__ import annotations

from .methods.fedopal import FedOpal
from .methods.method import HistogramOf, Method
from .plan import PrivacySettings


def misfit(settings: PrivacySettings | None, method: Method, histogram: HistogramOf) -> str | None:
    """Error code if the promise would not hold in such a federation, else None."""
    if settings is None:
        return None
    if method.name == "scaffold":  # what a site sends is then a mean of gradients as they are, without noise
        return "privacy.scaffold"
    if isinstance(method, FedOpal) and method.on == "outputs":  # ties the notes of a batch together
        return "privacy.outputs"
    if histogram != "none":
        return "privacy.histogram"
    if "importance" in method.needs:  # of gradients as they are
        return "privacy.importance"
    return None
