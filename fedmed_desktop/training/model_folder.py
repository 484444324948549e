# SPDX-License-Identifier: Apache-2.0
"""The folder of a base model that a user names, found without torch, so that a wrong name is told at once."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserFacingError
from ..files import from_home
from ..lora.base_model import weight_files


def resolve_model(path_or_id: str) -> Path:
    """The model folder at a path, or of a hub id in the local cache. Raises UserFacingError with the next step."""
    folder = from_home(path_or_id)
    is_id = path_or_id.count("/") <= 1 and not path_or_id.startswith((".", "~", "/")) and "\\" not in path_or_id
    if is_id and not folder.exists():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(path_or_id, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            raise UserFacingError("training.model_not_cached", model=path_or_id) from None
    weight_files(folder)
    return folder
