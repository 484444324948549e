# SPDX-License-Identifier: Apache-2.0
"""Combination of a round's stored adapters. All files that are combined are opened here, and nowhere else."""

from __future__ import annotations

import logging
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.actions import Combine
from ..federation.aggregation import combine, combined
from ..federation.combine import Combination, Sources
from ..federation.inputs import RoundCombined
from ..lora import BlobReader
from ..lora.half import open_update
from ..lora.module import Module, ModuleSource
from .blobs import BlobStore

_LOG = logging.getLogger(__name__)


class Ahead:
    """An adapter whose next module is read by another thread while the one before is combined.

    For who asks for modules in order, once or several times each; another one is read when it is asked for. Not for use
    by several threads at once.
    """

    def __init__(self, source: ModuleSource, reading: Executor) -> None:
        self.names = tuple(source.names)
        self._source = source
        self._reading = reading
        self._after = dict(pairwise(self.names))
        self._last: tuple[str, Module] | None = None
        self._next: tuple[str, Future[Module]] | None = None

    def module(self, name: str) -> Module:
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        coming, self._next, self._last = self._next, None, None
        if coming and coming[0] == name:
            module = coming[1].result()
        else:
            if coming:
                coming[1].exception()  # the file is read by one thread at a time
            module = self._source.module(name)
        self._last = name, module
        if after := self._after.get(name):
            self._next = after, self._reading.submit(self._source.module, after)
        return module


def combine_stored(due: Combine, spec: FederationSpec, blobs: BlobStore) -> RoundCombined:
    """Combines a closed round from disk and stores what comes out; durable on return.

    Files are read module by module, so memory holds two modules of each site, and hashed as they are read.
    Takes seconds to minutes: not on an event loop. Raises UserFacingError where a blob is missing or damaged (a damaged
    one is put aside, so that it is missing from then on), or the disk is full.
    """
    try:
        with ExitStack() as files:
            combination = combine(due, spec, _opened(due, blobs, files))
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
    for adapter in (combination.adapter, combination.frozen, combination.control):
        if adapter is not None:
            blobs.write_pieces(adapter.sha256, adapter.blob_pieces())


def _opened(due: Combine, blobs: BlobStore, files: ExitStack) -> Sources:
    """Opens every blob that the round names; `files` closes them."""

    def opened(sha256: str) -> BlobReader:
        return files.enter_context(BlobReader(blobs.path(sha256), sha256))

    def update(site: str) -> ModuleSource:
        sha256 = due.updates[site].parts["adapter"].sha256
        plan = due.plans[site]
        reader = open_update(blobs.path(sha256), plan.shared, start, sha256, plan.packing)
        files.enter_context(reader)
        # The others read the start beside, whose reader they share: not in another thread.
        return Ahead(reader, reading) if isinstance(reader, BlobReader) else reader

    start = opened(due.start)
    reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading ahead")
    updates = {site: update(site) for site in due.updates}
    files.callback(reading.shutdown)  # before the files are closed
    return Sources(
        start=start,
        updates=updates,
        frozen=opened(due.frozen) if due.frozen else None,
        control=opened(due.control) if due.control else None,
        controls={
            site: opened(one.parts["control"].sha256) for site, one in due.updates.items() if "control" in one.parts
        },
    )
