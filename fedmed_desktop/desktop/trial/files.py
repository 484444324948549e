# SPDX-License-Identifier: Apache-2.0
"""Files that Try it reads: a note, and adapters with what acts beside them. Not for the GUI thread."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...clinical import Note
from ...clinical.readers.brat_folder import write_brat
from ...errors import UserFacingError, disk_fault
from ...files import open_private
from ...lora import Adapter, load_adapter
from ...lora.base_model import decoder_linears
from ...lora.blob import BlobReader
from ...lora.half import open_update
from ...lora.kinds import in_block
from ...site import with_own_b
from ..work.requests import AdapterFiles
from .asked_note import MOST_BYTES, MOST_CHARACTERS
from .preferences import Preference


def note_of_file(path: Path) -> str:
    """The text of a file, without a byte order mark; a file of any size costs no more than the longest note.

    Raises UserFacingError: `desktop.note_too_long`, `desktop.note_binary`, `desktop.note_encoding`, and what
    disk_fault makes of a file that cannot be read. May take long on a network share: not for the GUI thread.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise disk_fault(error, path) from None
    if b"\x00" in data[:MOST_BYTES]:
        raise UserFacingError("desktop.note_binary", name=path.name)
    if len(data) > MOST_BYTES:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserFacingError("desktop.note_encoding", name=path.name) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MOST_CHARACTERS:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)
    return text


def write_json(data: bytes, path: Path) -> None:
    """Exactly these bytes, for this account alone: they hold the note's words. Raises what disk_fault makes of it."""
    try:
        with open_private(path) as file:
            file.write(data)
    except OSError as error:
        raise disk_fault(error, path) from error


def write_marks(notes: list[Note], folder: Path) -> None:
    """A new BRAT folder. Raises UserFacingError: `desktop.not_empty`, and what the disk says."""
    if folder.is_dir() and any(folder.iterdir()):
        raise UserFacingError("desktop.not_empty", path=str(folder))
    write_brat(folder, notes)


def write_preference(one: Preference, path: Path) -> None:
    """One line more, for this account alone; durable on return. Raises what disk_fault makes of it."""
    try:
        fresh = not path.exists()
        with open_private(path) if fresh else path.open("ab") as file:
            file.write(one.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_fault(error, path) from error


def preferences_of(path: Path) -> list[Preference]:
    """All that were kept; a line that this version does not understand is left out. Raises what disk_fault makes."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise disk_fault(error, path) from error
    found = []
    for line in lines:
        with suppress(ValidationError):
            found.append(Preference.model_validate_json(line))
    return found


def check_adapter(adapter: Path, model: Path) -> None:
    """Checks whether an adapter fits a model, from its files alone; a model that is no folder here is not looked into.

    Reads files, not for the GUI thread. Raises UserFacingError: no adapter, no model, or `desktop.other_model`, caused
    by one that names the layer.
    """
    modules = load_adapter(adapter)
    if not model.is_dir():
        return
    layers = decoder_linears(model)
    for name, module in modules.items():
        shape = layers.get(name) or _same_layer(name, layers)
        if shape is None:
            raise UserFacingError("desktop.other_model") from UserFacingError("training.no_such_layer", name=name)
        if shape != module.shape:
            found, expected = (f"{d} x {k}" for d, k in (module.shape, shape))
            raise UserFacingError("desktop.other_model") from UserFacingError(
                "training.layer_shape", name=name, found=found, expected=expected
            )


def _same_layer(name: str, layers: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    """Some models' files begin the names of layers otherwise than the loaded model does."""
    return next((shape for other, shape in layers.items() if in_block(other) == in_block(name)), None)


@dataclass(frozen=True)
class Loaded:
    """Adapters in memory, as a reader attaches them."""

    adapter: Adapter
    frozen: Adapter | None
    personal: Adapter | None


def load(files: AdapterFiles) -> Loaded:
    """Reads the files; not for the GUI thread. Raises UserFacingError."""
    if files.start is not None:
        with (
            BlobReader(files.start) as start,
            open_update(files.adapter, files.factors, start, packing=files.packing) as update,
        ):
            adapter = Adapter({name: update.module(name) for name in update.names})
    else:
        adapter = load_adapter(files.adapter)
    if files.own_b:
        adapter = with_own_b(adapter, {"B": load_adapter(files.own_b)})
    beside = (load_adapter(path) if path else None for path in (files.frozen, files.personal))
    return Loaded(adapter, *beside)
