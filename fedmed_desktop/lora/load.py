# SPDX-License-Identifier: Apache-2.0
"""Loading of an adapter from a path that a user gives: a PEFT folder, or a blob file that fedmed-desktop wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..errors import UserFacingError, reason_of
from ..files import from_home
from .adapter import Adapter
from .blob import METADATA_KEY, read_blob_header
from .tensorfile import read_tensor_header

_PEFT_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
_NO_TENSOR_FILE: Final = {"lora.file_header", "lora.file_header_size"}


def load_adapter(path: Path) -> Adapter:
    """The adapter in a PEFT folder (or either of its two files), or in a blob file (.safetensors).

    The header is checked before any tensor is read. Raises UserFacingError saying what else it is, or what is wrong.
    """
    path = from_home(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise UserFacingError("lora.no_adapter", path=str(path))
    if path.name in _PEFT_FILES and (path.parent / _PEFT_FILES[0]).is_file():
        return Adapter.load_peft(path.parent)
    return _from_file(path)


def _from_folder(path: Path) -> Adapter:
    if (path / _PEFT_FILES[0]).is_file():
        return Adapter.load_peft(path)
    if (path / "config.json").is_file():
        raise UserFacingError("lora.not_an_adapter", path=str(path), reason="it is a whole model")
    raise UserFacingError("lora.not_an_adapter", path=str(path), reason=f"it has no {_PEFT_FILES[0]}")


def _from_file(path: Path) -> Adapter:
    try:
        with path.open("rb") as file:
            header = read_tensor_header(file)
            if METADATA_KEY not in header.metadata:
                raise UserFacingError("lora.not_an_adapter", path=str(path), reason=_other_tensors(header.tensors))
            read_blob_header(file)
            file.seek(0)
            return Adapter.from_blob(file.read())
    except UserFacingError as error:
        if error.code in _NO_TENSOR_FILE:
            raise UserFacingError("lora.not_an_adapter", path=str(path), reason="it is no safetensors file") from None
        raise
    except OSError as error:
        raise UserFacingError("lora.file_missing", name=path.name, reason=reason_of(error)) from None


def _other_tensors(names: Iterable[str]) -> str:
    if any(".lora_A" in name or ".lora_B" in name for name in names):
        return f"its tensors are an adapter's, but {_PEFT_FILES[0]} does not lie beside it"
    return "it holds other tensors, such as a whole model's"
