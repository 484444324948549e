# SPDX-License-Identifier: Apache-2.0
"""A new federation: its specification and its first adapter, made from a base model folder without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UserFacingError
from ..federation import FederationSpec, dump_spec
from ..federation.spec import BaseModelSpec, LoraSettings
from ..lora import Adapter
from ..lora.base_model import decoder_linears, fingerprint
from ..storage import BlobStore

SPEC_FILE = "federation.toml"


def found_federation(model: Path, lora: LoraSettings, seed: int, **settings: Any) -> tuple[FederationSpec, Adapter]:
    """The specification over all decoder linears of `model`, and its first adapter (A random from `seed`, B zero).

    Raises UserFacingError where the folder is no model folder, pydantic.ValidationError for a wrong setting.
    """
    modules = decoder_linears(model)
    adapter = Adapter.initial(modules, lora.rank, lora.scale, seed)
    base = BaseModelSpec(fingerprint=fingerprint(model), initial=adapter.sha256, modules=modules)
    return FederationSpec(base=base, lora=lora, seed=seed, **settings), adapter


def write_federation(spec: FederationSpec, adapter: Adapter, folder: Path) -> Path:
    """Writes the specification and, beside it, the first adapter's blob; returns the specification's path.

    Raises UserFacingError rather than write over another federation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SPEC_FILE
    if path.exists():
        raise UserFacingError("spec.exists", path=str(path))
    initial_blob_file(path, spec).write_bytes(adapter.to_blob())
    path.write_text(dump_spec(spec), encoding="utf-8")
    return path


def initial_blob_file(spec_path: Path, spec: FederationSpec) -> Path:
    """Where the first adapter lies: beside the specification, named by its hash."""
    return spec_path.parent / f"{spec.base.initial}.safetensors"


def adopt_initial(spec_path: Path, spec: FederationSpec, data_dir: Path) -> None:
    """Takes the first adapter into the coordinator's data folder, once; its hash is checked."""
    blobs = BlobStore(data_dir / "blobs")
    file = initial_blob_file(spec_path, spec)
    if spec.base.initial in blobs or not file.is_file():
        return
    adapter = Adapter.from_blob(file.read_bytes())
    if adapter.sha256 != spec.base.initial:
        raise UserFacingError("update.wrong_hash", found=adapter.sha256, expected=spec.base.initial)
    blobs.write(adapter.to_blob())
