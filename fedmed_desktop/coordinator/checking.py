# SPDX-License-Identifier: Apache-2.0
"""Checks of an update's parts as they arrive, and of the coordinator's own adapters when they are needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserFacingError
from ..federation import FederationSpec, Plan, Update
from ..federation.check import check_adapter, check_norm, checked
from ..federation.secure_aggregation import Layout, check_blob
from ..lora.blob import BlobReader
from ..lora.half import open_update
from ..storage import BlobStore
from .held_up import HeldUp
from .recovery import lost_adapter

# Blob headers grow with the number of modules; this is far above what any adapter of the right rank can need.
_HEADER_ALLOWANCE = 2**20


class Checking:
    """Checks on the host's event loop; files are read in threads."""

    def __init__(self, spec: FederationSpec, blobs: BlobStore, held_up: HeldUp) -> None:
        self._spec = spec
        self._blobs = blobs
        self._held_up = held_up
        self._missing = set[str]()
        self._whole: dict[str, tuple[int, int]] = {}  # by sha256: when the file last changed, and its size
        self._reading = asyncio.Lock()

    def largest_blob(self, rank: int) -> int:
        """Largest number of bytes that a part of this rank can need."""
        return sum((d + k) * rank * 4 for d, k in self._spec.base.modules.values()) + _HEADER_ALLOWANCE

    async def check_part(self, name: str, plan: Plan, update: Update, path: Path) -> None:
        """Checks all that can be wrong with a part; raises UserFacingError, retryable if the fault is on this side.

        The plan is the one that was in force when the update was offered: the round may have closed meanwhile.
        """
        with self.own_trouble(plan):
            await asyncio.to_thread(self._check, name, plan, update, path)

    def _check(self, name: str, plan: Plan, update: Update, path: Path) -> None:
        """The start is not hashed again for each site; but before one is blamed, it is."""
        start = self._blobs.path(plan.start)
        known = self._whole.get(plan.start) == _stamp(start)
        try:
            self._read(name, plan, update, path, BlobReader(start, None if known else plan.start))
        except UserFacingError:
            if not known:
                raise
            self._read(name, plan, update, path, BlobReader(start, plan.start))

    def _read(self, name: str, plan: Plan, update: Update, path: Path, started: BlobReader) -> None:
        if name == "control":
            with BlobReader(path, update.parts[name].sha256) as change:
                check_adapter(change, self._spec, plan)
            return
        if plan.masking:
            layout = Layout.of(plan.start, self._spec.base.modules, plan.shared, plan.rank, plan.masking)
            with path.open("rb") as masked:
                check_blob(layout, masked.read(64), masked.seek(0, 2))
            return
        sha256 = update.parts[name].sha256  # once more: it may have lain here for long
        with started as start, open_update(path, plan.shared, start, sha256, plan.packing) as after:
            if plan.own:  # the rest is the site's own, and so is what its norms are about
                check_adapter(after, self._spec, plan)
            else:
                check_norm(start, checked(after, self._spec, plan), update.report, plan.cut)

    def have(self, round_number: int, *named: str | None) -> None:
        """Makes sure that these own adapters are here; if not, holds the federation up and raises a retryable error."""
        if fault := lost_adapter(self._blobs, round_number, *named):
            self._missing.add(str(fault.params["sha256"]))
            self._held_up.by("adapter", fault)
            raise fault

    def look_again(self) -> bool:
        """Lets the federation continue once all that was missing has come back; True if that is now."""
        before, self._missing = self._missing, {sha256 for sha256 in self._missing if sha256 not in self._blobs}
        if not self._missing:
            self._held_up.no_more("adapter")
        return bool(before) and not self._missing

    async def whole(self, round_number: int, sha256: str) -> Path:
        """Path of an own adapter that a site wants, checked; raises a retryable error if it is lost.

        A file that has not changed since it was read is not read again: any site may ask as often as it likes, and all
        may ask at once.
        """
        await self.is_whole(sha256)
        self.have(round_number, sha256)
        return self._blobs.path(sha256)

    async def is_whole(self, sha256: str) -> bool:
        """True if the blob is here and undamaged; a damaged one is put aside."""
        async with self._reading:
            if sha256 in self._blobs and self._whole.get(sha256) != (stamp := _stamp(self._blobs.path(sha256))):
                if await asyncio.to_thread(self._blobs.is_whole, sha256):
                    self._whole[sha256] = stamp
                elif sha256 in self._blobs:
                    self._blobs.put_aside(sha256)
        return sha256 in self._blobs

    @contextlib.contextmanager
    def own_trouble(self, plan: Plan) -> Iterator[None]:
        """Turns damage of stored adapters into a retryable error, since it is not the site's fault."""
        try:
            yield
        except UserFacingError as error:
            if error.code == "lora.file_damaged":
                self._blobs.put_aside(str(error.params["sha256"]))
            self.have(plan.round, plan.start, plan.frozen)
            if error.code == "lora.file_damaged":  # a part of the update: it is missing now, and can be sent again
                raise UserFacingError(error.code, retryable=True, **error.params) from error
            raise


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
