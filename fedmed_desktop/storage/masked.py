# SPDX-License-Identifier: Apache-2.0
"""Combination of a round's masked updates: their sum, from the stored blobs and the shares that open it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..arrays import one_thread
from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.actions import Combine
from ..federation.combine import Combination, Sources
from ..federation.methods.method import ServerStep
from ..federation.noised import Noise
from ..federation.secure_aggregation import Layout, Numbers, Opening, decoded, numbers_of, total
from ..lora.module import ModuleSource
from .blobs import BlobStore


def combine_masked(
    due: Combine,
    spec: FederationSpec,
    opening: Opening,
    blobs: BlobStore,
    start: ModuleSource,
    control: ModuleSource | None = None,
    noise: Noise | None = None,
) -> Combination:
    """The common adapter plus the server's step along the average change of the sites in the sum.

    `control`: what the coordinator keeps of its own optimiser, where it has one. `noise`: what the sites have added,
    where it hides whole ones, and only there. Holds the sum and one update at a time. Nothing is known of what
    averaging misses, but where one factor is shared it misses nothing.
    """
    if (spec.client_privacy is None) != (noise is None):
        raise ValueError("noise goes with client_privacy, and client_privacy with noise")
    plan = next(iter(due.plans.values()))
    layout = Layout.of(due.start, spec.base.modules, plan.shared, plan.rank, opening.masking)
    parts = [due.updates[site].parts["masked"].sha256 for site in opening.survivors]
    found = total(opening, _numbers(layout, parts, blobs), layout.length)
    step = spec.method.server_step if isinstance(spec.method, ServerStep) else 1.0
    adapter = decoded(layout, start, found, step)
    combination = Combination(adapter, 0.0 if len(plan.shared) == 1 else None)
    with one_thread():  # the last bits must not depend on the number of threads
        finished = spec.method.finish(due, Sources(start, {}, control=control), combination)
        return replace(finished, measures={**finished.measures, **noise.measures}) if noise else finished


def _numbers(layout: Layout, parts: list[str], blobs: BlobStore) -> Iterator[Numbers]:
    """The numbers of one update after the other. Raises UserFacingError("lora.file_damaged")."""
    for sha256 in parts:
        try:
            blob = blobs.read(sha256)
        except UserFacingError as error:
            if error.code == "update.wrong_hash":
                raise UserFacingError("lora.file_damaged", sha256=sha256) from error
            raise
        yield numbers_of(layout, blob)
