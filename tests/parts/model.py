# SPDX-License-Identifier: Apache-2.0
"""Model folders that change under the program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def copied(model: Path, folder: Path) -> Path:
    return Path(shutil.copytree(model, folder))


def replace_weights(model: Path) -> None:
    """The same model with other numbers in it, as a download in place would leave it."""
    from safetensors.torch import load_file, save_file

    path = model / "model.safetensors"
    numbers = {name: tensor * 0.5 for name, tensor in load_file(path).items()}
    save_file(numbers, path, metadata={"format": "pt"})
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))
