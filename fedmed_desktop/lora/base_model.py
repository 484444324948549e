# SPDX-License-Identifier: Apache-2.0
"""Base model folders: fingerprint, linears and files, read without torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserFacingError, disk_fault

# (name, bytes, time of last change in ns) of each weight file and each JSON file of a model folder
FileState = tuple[tuple[str, int, int], ...]

_BLOCK_LINEAR = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.\d+\..+\.weight$")
_WEIGHTS = (".safetensors", ".bin")
_MAX_HEADER = 64 * 2**20
_CHUNK = 2**20


def weight_files(folder: Path) -> list[Path]:
    """The model's safetensors files, sorted. Raises UserFacingError if unreadable or not a model folder."""
    with _readable(folder):
        if not folder.is_dir():
            raise UserFacingError("model.no_folder", path=str(folder))
        for name in ("config.json", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserFacingError("model.no_file", path=str(folder), file=name)
        if beside := [path.name for path in folder.glob("adapter_*") if path.suffix in (".json", *_WEIGHTS)]:
            # transformers would load the base with that adapter, and call it the base.
            raise UserFacingError("model.with_adapter", path=str(folder), file=min(beside))
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserFacingError("model.no_file", path=str(folder), file="*.safetensors")
    return files


def fingerprint(folder: Path) -> str:
    """sha256 over the sorted sha256 of weights, tokenizer.json and config.json; the same for every copy of a model.

    Reads the whole model. Raises UserFacingError if a file cannot be read.
    """
    paths = [*weight_files(folder), folder / "tokenizer.json", folder / "config.json"]
    return hashlib.sha256("\n".join(sorted(map(_file_sha256, paths))).encode()).hexdigest()


def has_chat_template(folder: Path) -> bool:
    """True if the model folder names a chat template. Raises UserFacingError like `fingerprint`."""
    with _readable(folder):
        if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
            return True
        settings = folder / "tokenizer_config.json"
        try:
            return bool(settings.is_file() and json.loads(settings.read_text("utf-8")).get("chat_template"))
        except (ValueError, AttributeError):
            return False


def file_state(folder: Path) -> FileState:
    """Names, sizes and times of the model's files, which change when one is replaced; does not read the files.

    Raises UserFacingError like `fingerprint`.
    """
    paths = [*weight_files(folder), *sorted(folder.glob("*.json"))]
    with _readable(folder):
        return tuple((path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in paths)


def decoder_linears(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> (d, k) of every 2-D weight inside decoder blocks; never embeddings, norms or the head.

    Raises UserFacingError if a weight file is damaged or there is no such weight.
    """
    found: dict[str, tuple[int, int]] = {}
    for path in weight_files(folder):
        for name, entry in _safetensors_header(path).items():
            shape = entry.get("shape", []) if isinstance(entry, dict) else []
            if _BLOCK_LINEAR.search(name) and len(shape) == 2:
                found[name.removesuffix(".weight")] = (int(shape[0]), int(shape[1]))
    if not found:
        raise UserFacingError("model.no_linears", path=str(folder))
    return dict(sorted(found.items()))


def weight_count(folder: Path) -> int:
    """How many numbers the weights hold, by their headers. Raises UserFacingError like `decoder_linears`."""
    entries = [entry for path in weight_files(folder) for entry in _safetensors_header(path).values()]
    shapes = [entry.get("shape") for entry in entries if isinstance(entry, dict)]
    return sum(math.prod(map(int, shape)) for shape in shapes if isinstance(shape, list))


def _safetensors_header(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MAX_HEADER:
                raise ValueError("header length out of bounds")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("header is no object")
    except (OSError, ValueError) as error:
        raise UserFacingError("model.damaged", path=str(path), reason=str(error)) from error
    return header


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns OSError, such as for a lost network share or missing rights, into UserFacingError."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path) from error


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with _readable(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
