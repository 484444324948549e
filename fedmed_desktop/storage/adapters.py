# SPDX-License-Identifier: Apache-2.0
"""Combination of a round's stored adapters. All files that are combined are opened here, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.actions import Combine
from ..federation.aggregation import combine, combined
from ..federation.combine import Combination, Sources
from ..federation.inputs import RoundCombined
from ..federation.noised import Noise
from ..federation.way_down import Rounded
from ..lora import Adapter, BlobReader
from ..lora.half import open_update
from ..lora.module import ModuleSource
from .blobs import BlobStore
from .masked import combine_masked
from .read_ahead import Ahead, InThread

_LOG = logging.getLogger(__name__)


def combine_stored(
    due: Combine, spec: FederationSpec, blobs: BlobStore, noise: Callable[[Combine], Noise] | None = None
) -> RoundCombined:
    """Combines a closed round from disk and stores what comes out; durable on return.

    Files are read module by module, a few ahead, and hashed as they are read. `noise`: where whole sites are protected;
    it writes down what is spent before it answers.
    Takes seconds to minutes: not on an event loop. Raises UserFacingError where a blob is missing or damaged (a damaged
    one is put aside, so that it is missing from then on), or the disk is full.
    """
    try:
        with ExitStack() as files:
            lost = _lost(due, blobs)
            drawn = noise(due) if noise else None
            if due.opening:
                control = _own(due.control, blobs, files) if due.control else None
                start = _own(due.start, blobs, files)
                combination = combine_masked(due, spec, due.opening, blobs, start, control, drawn)
            else:
                combination = combine(due, spec, replace(_opened(due, blobs, files), lost=lost), drawn)
    except UserFacingError as error:
        if error.code == "lora.file_damaged":
            _LOG.error("round %d: %s", due.round, error)
            blobs.put_aside(str(error.params["sha256"]))
        raise
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="writing") as writing:
        stored = writing.submit(_store, blobs, combination)
        given = combined(due, combination)  # its figures take as long as the disk
        stored.result()
    return given


def _store(blobs: BlobStore, combination: Combination) -> None:
    way_down = combination.way_down or Rounded(combination.adapter)
    own = (combination.adapter, combination.frozen, combination.control, way_down.lost, *combination.cuts.values())
    for adapter in own:
        if adapter is not None:
            blobs.write_pieces(adapter.sha256, adapter.blob_pieces())
    if way_down.difference:
        blobs.write(way_down.blob)


def _lost(due: Combine, blobs: BlobStore) -> Adapter | None:
    """Loss of earlier common adapters by rounding; None if it is not here: the round only comes out less fine."""
    if due.lost is None:
        return None
    try:
        return Adapter.from_blob(blobs.read(due.lost))
    except UserFacingError as error:
        if error.retryable:
            raise
        _LOG.warning("round %d: what rounding took from the common adapter is lost too: %s", due.round, error)
        blobs.put_aside(due.lost)
        return None


def _own(sha256: str, blobs: BlobStore, files: ExitStack) -> BlobReader:
    return files.enter_context(BlobReader(blobs.path(sha256), sha256))


def _opened(due: Combine, blobs: BlobStore, files: ExitStack) -> Sources:
    """Opens every blob that the round names; `files` closes them."""

    def opened(sha256: str) -> BlobReader:
        return _own(sha256, blobs, files)

    def update(site: str) -> ModuleSource:
        sha256 = due.updates[site].parts["adapter"].sha256
        plan = due.plans[site]
        began = start if plan.start == due.start else opened(plan.start)
        reader = open_update(blobs.path(sha256), plan.shared, began, sha256, plan.packing)
        files.enter_context(reader)
        return reader

    start = opened(due.start)
    # In the order in which they are combined. Some read the start beside, so that is read in the same thread.
    sites = sorted(due.updates, key=lambda site: (due.updates[site].sha256, site))
    reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading ahead")
    updates = Ahead([update(site) for site in sites], reading).sources
    files.callback(reading.shutdown, cancel_futures=True)  # before the files are closed
    return Sources(
        start=InThread(start, reading),
        updates=dict(zip(sites, updates, strict=True)),
        frozen=opened(due.frozen) if due.frozen else None,
        control=opened(due.control) if due.control else None,
        controls={
            site: opened(one.parts["control"].sha256) for site, one in due.updates.items() if "control" in one.parts
        },
    )
