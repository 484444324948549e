# SPDX-License-Identifier: Apache-2.0
"""Words on what protects whole sites in a federation, for who founds it, hosts it or is about to take part."""

from __future__ import annotations

from typing import Final

from ..federation import FederationSpec
from ..federation.client_privacy import notice
from . import sentence
from .figures import written
from .translation import later, tr

_WHO: Final = {"coordinator": later("coordinator"), "sites": later("sites")}


def whole_sites(spec: FederationSpec) -> str:
    """The promise, and how much noise it will take; "" where nothing hides whole sites."""
    found = notice(spec)
    return sentence(*found) if found else ""


def budget_of_sites(spec: FederationSpec) -> str:
    """The promise in numbers alone, once it has been kept; "" where there is none."""
    found, settings = notice(spec), spec.client_privacy
    if found is None or settings is None:
        return ""
    text = later(
        "epsilon {epsilon} of each whole site (delta {delta}), noise {noise} x clip {clip}, added by the {who}"
    )
    return tr(text).format(**found[1], clip=written(settings.clip_norm, "g"), who=tr(_WHO[settings.added_by]))
