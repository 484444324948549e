# SPDX-License-Identifier: Apache-2.0
"""Rebuilding of a plan's start from an earlier common adapter that lies here, and the differences that lead to it.

What comes out is proved by the sha256 that the plan names the start with. Whatever goes wrong costs a few bytes: the
start is then fetched whole, as where nothing earlier lies here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import UserFacingError
from ..federation import Plan
from ..federation.plan import Difference
from ..lora import Adapter, BlobReader
from ..lora.quantised import PackedReader, Packing
from ..storage import BlobStore
from .download import Downloads


async def rebuild_start(
    plan: Plan, blobs: BlobStore, downloads: Downloads, warn: Callable[[UserFacingError], None]
) -> None:
    """Returns once the start is on disk, or is to be fetched. Raises a retryable UserFacingError of this disk's own."""
    if plan.packing is None or not plan.differences or await asyncio.to_thread(blobs.is_whole, plan.start):
        return
    for difference in await asyncio.to_thread(plan.way_to, blobs.is_whole):
        try:
            await downloads.fetch(difference.sha256, plan.round)
            await asyncio.to_thread(_rebuild, blobs, difference, plan.packing)
        except UserFacingError as error:
            if error.retryable:
                raise
            if error.code != "storage.no_blob":  # a carried file holds no differences, and nobody has to hear of it
                warn(UserFacingError("download.not_rebuilt", round=plan.round, sha256=plan.start))
            return
        finally:
            await asyncio.to_thread(blobs.delete, difference.sha256)


def _rebuild(blobs: BlobStore, difference: Difference, packing: Packing) -> None:
    """Writes the adapter that the difference leads to; durable on return. Raises UserFacingError if it is another."""
    with (
        BlobReader(blobs.path(difference.start), difference.start) as start,
        PackedReader(blobs.path(difference.sha256), packing, difference.factors, start, difference.sha256) as reader,
    ):
        adapter = Adapter({name: reader.module(name) for name in reader.names})
    if adapter.sha256 != difference.adapter:
        raise UserFacingError("update.wrong_hash", found=adapter.sha256, expected=difference.adapter)
    blobs.write_pieces(adapter.sha256, adapter.blob_pieces())
