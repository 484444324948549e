# SPDX-License-Identifier: Apache-2.0
"""Base model folders: fingerprint, linears and files, read without torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UserFacingError, disk_fault
from .kinds import (
    adaptable,
    check_kind,
    check_packed,
    check_weight,
    guesses_ahead,
    has_experts,
    has_other_senses,
    leaves_layers,
    of_text,
)

# (name, bytes, time of last change in ns) of each weight file and each JSON file of a model folder
FileState = tuple[tuple[str, int, int], ...]

_BLOCK_LINEAR = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.\d+\..+\.weight$")
_WEIGHTS = (".safetensors", ".bin")
_MAX_HEADER = 64 * 2**20
_CHUNK = 2**20


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up the model, sorted. Raises UserFacingError if unreadable or no model folder."""
    with _readable(folder):
        if not folder.is_dir():
            raise UserFacingError("model.no_folder", path=str(folder))
        for name in ("config.json", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserFacingError("model.no_file", path=str(folder), file=name)
        if beside := [path.name for path in folder.glob("adapter_*") if path.suffix in (".json", *_WEIGHTS)]:
            # transformers would load the base with that adapter, and call it the base.
            raise UserFacingError("model.with_adapter", path=str(folder), file=min(beside))
        return _named_files(folder)


def _named_files(folder: Path) -> list[Path]:
    """The files that are loaded: `model.safetensors`, else the parts that the index names; nothing beside them."""
    if (whole := folder / "model.safetensors").is_file():
        return [whole]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        raise UserFacingError("model.no_file", path=str(folder), file=whole.name)
    names = set(_object(_json(index).get("weight_map"), index).values())
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise UserFacingError("model.damaged", path=str(index), reason="it names no files of this folder")
    files = sorted(folder / name for name in names)
    if missing := [path.name for path in files if not path.is_file()]:
        raise UserFacingError("model.incomplete", path=str(folder), file=missing[0])
    return files


def read_config(folder: Path) -> Mapping[str, Any]:
    """The model's config.json. Raises UserFacingError if it is damaged."""
    with _readable(folder):
        return _json(folder / "config.json")


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
    """Name -> (d, k) of each 2-D weight inside decoder blocks that can be adapted; never embeddings, norms or the head.

    Names are those in the files: training.outline has those of the loaded model. Raises UserFacingError if a weight
    file is damaged, or if a model of this kind cannot be adapted.
    """
    files = weight_files(folder)
    config = read_config(folder)
    check_kind(folder, config)
    entries = {name: entry for path in files for name, entry in _safetensors_header(path).items()}
    experts, senses = has_experts(entries), has_other_senses(config)
    found: dict[str, tuple[int, int]] = {}
    for weight, entry in entries.items():
        name = weight.removesuffix(".weight")
        shape = entry.get("shape", []) if isinstance(entry, dict) else []
        if not _BLOCK_LINEAR.search(weight) or len(shape) != 2 or guesses_ahead(name) or (senses and not of_text(name)):
            continue
        check_weight(folder, name, entry.get("dtype") if isinstance(entry, dict) else None)
        if adaptable(name, experts):
            found[name] = (int(shape[0]), int(shape[1]))
    if not found:
        check_packed(folder, entries)
        raise UserFacingError("model.no_linears", path=str(folder))
    return dict(sorted(found.items()))


def linears_in_files(folder: Path) -> dict[str, tuple[int, int]]:
    """The layers for a federation that is founded without torch: of a model whose files name them as it does itself.

    Raises UserFacingError like `decoder_linears`, and where they do not.
    """
    listed, config = decoder_linears(folder), read_config(folder)
    renamed = has_other_senses(config) or any(name.startswith("backbone.") for name in listed)
    if renamed or leaves_layers(config):
        raise UserFacingError("model.needs_torch", path=str(folder))
    return listed


def leaves_experts(folder: Path) -> bool:
    """True for a mixture of experts, of which the experts are not adapted. Raises UserFacingError."""
    return any(has_experts(_safetensors_header(path)) for path in weight_files(folder))


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by their names in the files. Raises UserFacingError like `decoder_linears`."""
    entries = {name: entry for path in weight_files(folder) for name, entry in _safetensors_header(path).items()}
    shapes = {name: entry.get("shape") for name, entry in entries.items() if isinstance(entry, dict)}
    return {name: tuple(map(int, shape)) for name, shape in shapes.items() if isinstance(shape, list)}


def weight_count(folder: Path) -> int:
    """Counts how many numbers the weights hold, by their headers. Raises UserFacingError like `decoder_linears`."""
    return sum(map(math.prod, weight_shapes(folder).values()))


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


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return _object(json.loads(path.read_text("utf-8")), path)
    except (ValueError, RecursionError):
        raise UserFacingError("model.damaged", path=str(path), reason="it is not JSON") from None


def _object(value: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserFacingError("model.damaged", path=str(path), reason="it does not hold what such a file should")
    return value


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
