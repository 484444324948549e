# SPDX-License-Identifier: Apache-2.0
"""State of a round on disk: tensors and their account in one safetensors file, replaced as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..files import make_folder, write_durably

_FORMAT = 1


class Checkpoint:
    """One file `<name>.safetensors`, since two could differ after a crash; only those of the same `key` are read."""

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self._path = folder / f"{name}.safetensors"
        self._key = key

    def write(self, account: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Whole or not at all. Raises UserFacingError (disk full)."""
        make_folder(self._path.parent)
        text = json.dumps({"format": _FORMAT, "key": self._key, **account}, sort_keys=True)
        data = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, {"account": text})
        write_durably(self._path, data)

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Account and tensors; None if there is nothing of this key or it is damaged, so that work starts again."""
        try:
            with safe_open(self._path, framework="pt") as file:
                account = json.loads((file.metadata() or {}).get("account", "{}"))
                if account.get("key") != self._key or account.get("format") != _FORMAT:
                    return None
                return account, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError):
            return None
