# SPDX-License-Identifier: Apache-2.0
"""Combination of a round's stored adapters. All files that are combined are opened here, and nowhere else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from ..federation import FederationSpec
from ..federation.actions import Combine
from ..federation.aggregation import combine, combined
from ..federation.combine import Sources
from ..federation.inputs import RoundCombined
from ..lora import BlobReader
from ..lora.half import open_update
from ..lora.module import ModuleSource
from .blobs import BlobStore


def combine_stored(due: Combine, spec: FederationSpec, blobs: BlobStore) -> RoundCombined:
    """Combines a closed round from disk and stores what comes out; durable on return.

    Files are read module by module, so memory does not grow with the number of sites. Takes seconds to minutes: not on
    an event loop. Raises UserFacingError where a blob is missing or unreadable, or the disk is full.
    """
    with ExitStack() as files:
        combination = combine(due, spec, _opened(due, blobs, files))
    for adapter in (combination.adapter, combination.frozen, combination.control):
        if adapter is not None:
            blobs.write(adapter.to_blob())
    return combined(due, combination)


def _opened(due: Combine, blobs: BlobStore, files: ExitStack) -> Sources:
    """Readers of every blob that the round names; `files` closes them."""

    def part(site: str, name: str) -> Path:
        return blobs.path(due.updates[site].parts[name].sha256)

    def opened(path: Path) -> BlobReader:
        return files.enter_context(BlobReader(path))

    def update(site: str) -> ModuleSource:
        reader = open_update(part(site, "adapter"), due.plans[site].shared, start)
        files.enter_context(reader)
        return reader

    start = opened(blobs.path(due.start))
    return Sources(
        start=start,
        updates={site: update(site) for site in due.updates},
        frozen=opened(blobs.path(due.frozen)) if due.frozen else None,
        control=opened(blobs.path(due.control)) if due.control else None,
        controls={site: opened(part(site, "control")) for site, one in due.updates.items() if "control" in one.parts},
    )
