# SPDX-License-Identifier: Apache-2.0
"""Parts that a site keeps of its rounds and never sends: its own B, its control variate, its personal adapter, what
packing took from its last update, and its optimiser's moments.

It lies outside the blob store, so that no message, whatever hash it names, can reach it: the door for uploads
(`Outbox.open_released`) leads to the blob store only.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from ..errors import UserFacingError, disk_fault
from ..federation.sending import LOST
from ..federation.work import MOMENTS
from ..files import make_folder, sync_folder, write_durably
from ..lora import Adapter

# These belong to an update that counts: the coordinator's c moved only by what it counted, and c_i must move with it;
# and of an update that did not arrive, nothing was lost on the way but all of it. Nor do moments go on from gradients
# of a way that nobody went.
CONTROL: Final = "control"
_COUNTED: Final = frozenset({CONTROL, LOST, *MOMENTS})

_FOLDER = re.compile(r"round-(\d{1,9})")
_FILE = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,39})\.([0-9a-f]{64})\.safetensors")


class OwnStore:
    """Folder per round with a file per name, which carries the sha256 of its bytes. File work: off the event loop.

    Nothing here is sent, shown or combined; a trainer gets it back in a later round (federation.work.Given.own).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, round_number: int, own: Mapping[str, Adapter]) -> None:
        """Stores the parts of this round, all or nothing; a round that is trained again replaces them.

        Durable on return. Raises UserFacingError (disk full).
        """
        if not own:
            return
        made = make_folder(self._folder) / f"round-{round_number}.new"
        final = self._folder / f"round-{round_number}"
        shutil.rmtree(made, ignore_errors=True)
        make_folder(made)
        for name in sorted(own):
            blob = own[name].to_blob()
            write_durably(made / f"{name}.{hashlib.sha256(blob).hexdigest()}.safetensors", blob)
        try:
            # A crash between these two leaves the round without its own, and without an update: it is trained again.
            if final.exists():
                shutil.rmtree(final)
            made.replace(final)
            sync_folder(self._folder)
        except OSError as error:
            raise disk_fault(error, final) from error

    def before(self, round_number: int, counted: Collection[int]) -> dict[str, Adapter]:
        """Parts that training in this round continues from, by name: the newest that an earlier round left.

        `control`, `lost` and moments only from rounds in `counted`, whose update the coordinator acknowledged. Raises
        UserFacingError("storage.own_damaged") rather than go on from something else.
        """
        return {name: _read(path) for name, path in self._needed(round_number, counted).items()}

    def paths_before(self, round_number: int) -> dict[str, Path]:
        """Paths of those parts without what only training uses; for trying the model on this computer."""
        return self._needed(round_number, ())

    def forget_before(self, round_number: int, counted: Collection[int]) -> None:
        """Deletes parts that no training from this round on can need."""
        needed = {path.parent for path in self._needed(round_number, counted).values()}
        for number, folder in self._rounds():
            if number < round_number and folder not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    def _needed(self, round_number: int, counted: Collection[int]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for number, folder in self._rounds():
            if number < round_number:
                found |= {
                    parts[1]: path
                    for path in sorted(folder.iterdir())
                    if (parts := _FILE.fullmatch(path.name)) and (parts[1] not in _COUNTED or number in counted)
                }
        return found

    def _rounds(self) -> list[tuple[int, Path]]:
        """Complete rounds, oldest first."""
        if not self._folder.is_dir():
            return []
        named = ((_FOLDER.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(match[1]), path) for match, path in named if match)


def _read(path: Path) -> Adapter:
    match = _FILE.fullmatch(path.name)
    assert match is not None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise disk_fault(error, path) from error
    if hashlib.sha256(data).hexdigest() != match[2]:
        raise UserFacingError("storage.own_damaged", path=str(path), folder=str(path.parent))
    return Adapter.from_blob(data)
