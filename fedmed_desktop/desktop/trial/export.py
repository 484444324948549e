# SPDX-License-Identifier: Apache-2.0
"""An adapter of Try it for other programs: as a PEFT folder, or merged into the base model. Not for the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import UserFacingError, disk_fault
from ...lora import Adapter
from ...site import as_one
from ...wording import tr
from ..work.requests import AdapterFiles
from .files import load
from .results import WATERMARK

Merge = Callable[[str, Adapter, Path], None]
"""Writes a base model with an adapter in its weights into a new folder."""


def export_adapter(files: AdapterFiles, model: Path, name: str, folder: Path, merge: Merge | None) -> Path:
    """Writes all that acts beside the base as one adapter: a PEFT folder or, with `merge`, the whole model; returns it.

    Raises UserFacingError: `desktop.not_empty`, what the disk says, an adapter that does not fit.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserFacingError("desktop.not_empty", path=str(folder))
    found = load(files)
    whole = as_one(found.adapter, found.frozen, {"personal": found.personal} if found.personal else None)
    if merge is not None:
        merge(str(model), whole, folder)
    else:
        whole.save_peft(folder, str(model))
    try:
        (folder / "README.md").write_text(_card(name, model, is_merged=merge is not None), "utf-8")
    except OSError as error:
        raise disk_fault(error, folder) from error
    return folder


def _card(name: str, model: Path, *, is_merged: bool) -> str:
    what = tr("{adapter}, merged into the base model {model}.") if is_merged else tr("{adapter}, for the base {model}.")
    return f"**{tr(WATERMARK)}**\n\n{what.format(adapter=name, model=model.name)}\n"
