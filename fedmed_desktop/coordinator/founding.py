# SPDX-License-Identifier: Apache-2.0
"""Creation of a federation: its specification and its first adapter, from a base model folder, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import UserFacingError
from ..federation import FederationSpec, dump_spec
from ..federation.methods import METHODS, usual
from ..federation.methods.method import Setting
from ..federation.plan import TrainingSettings
from ..federation.spec import SPEC_FILE, LoraSettings, checked_spec, spec_file
from ..files import make_folder, write_durably
from ..lora import Adapter
from ..lora.base_model import fingerprint, linears_in_files, weight_count
from ..lora.first import first_adapter
from ..storage import BlobStore
from ..storage.sides import check_side

USUAL_TRAINING: Final[Mapping[str, Any]] = {"schedule": "federation"}
"""What a new federation trains by where its founder says nothing else, beyond the papers' settings: one learning-rate
schedule over all rounds, with which the common model found more than with one in each round (measured; inferred)."""


def found_federation(
    model: Path,
    lora: LoraSettings | Mapping[str, Any],
    seed: int,
    chat_template: str | None = None,
    modules: Mapping[str, tuple[int, int]] | None = None,
    begin_with: Adapter | None = None,
    **settings: Any,
) -> tuple[FederationSpec, Adapter]:
    """Makes a specification over all decoder linears of `model`, and its first adapter.

    That is `begin_with`, grown to the federation's rank; without it, A is random from `seed` and B zero.
    `chat_template`: identity of the model's template, where prompts go through it (training.chat); `modules`: the
    layers of the loaded model (training.outline), None: those that its files name. Raises UserFacingError where the
    folder is no model folder, or one that cannot be adapted, or naming a wrong setting.
    """
    modules = dict(modules) if modules is not None else linears_in_files(model)
    # Settings are looked at before anything is drawn from the seed, so that a wrong one is named, not stumbled over.
    base = {
        "fingerprint": fingerprint(model),
        "initial": "0" * 64,
        "modules": modules,
        "chat_template": chat_template,
        "weights": weight_count(model),
    }
    spec = checked_spec({"base": base, "lora": lora, "seed": seed, **settings}, "settings")
    adapter = first_adapter(modules, spec.lora.rank, spec.lora.scale, spec.seed, begin_with)
    return spec.model_copy(update={"base": spec.base.model_copy(update={"initial": adapter.sha256})}), adapter


def lacking(method: str, shared_notes: bool = False) -> str | None:
    """The code of what a specification lacks that says no more of its method than the name; None where it is enough.

    `shared_notes`: whether it has any. Raises UserFacingError where there is no such method.
    """
    known = METHODS.get(method)
    if known is None:
        raise UserFacingError("methods.unknown", method=method, known=", ".join(sorted(METHODS)))
    usually = TrainingSettings(epochs=1)
    setting = Setting(usual(method), usually, histogram="none", shared_notes=shared_notes)
    return known(name=method).misfit(setting)


@dataclass(frozen=True)
class Needs:
    """Settings that a method needs and that have no default: keys of [method] and of [share]. `code`: of what it lacked
    without them, None where it needs none.
    """

    method: dict[str, str] = field(default_factory=dict)
    share: dict[str, str] = field(default_factory=dict)
    code: str | None = None


def needs_of(method: str, *, types: bool, shared_notes: bool) -> Needs:
    """`types`: whether the federation learns any; else a histogram counts notes by their specialty.

    Raises UserFacingError where there is no such method.
    """
    code = lacking(method, shared_notes)
    if code == "methods.needs_histogram":
        return Needs(share={"histogram": "types" if types else "specialties"}, code=code)
    if code == "methods.no_shared_notes":
        return Needs(method={"measured_by": "coordinator"}, code=code)
    return Needs(code=code)


def usual_quorum(asked: int) -> int:
    """Updates that a round needs of so many asked sites, where nobody says otherwise: all but one."""
    return max(1, asked - 1)


def write_federation(spec: FederationSpec, adapter: Adapter, folder: Path) -> Path:
    """Writes the specification and, beside it, the first adapter's blob; returns the specification's path.

    Raises UserFacingError rather than write over another federation.
    """
    make_folder(folder)
    path = folder / SPEC_FILE
    if path.exists():
        raise UserFacingError("spec.exists", path=str(path))
    write_durably(initial_blob_file(path, spec), adapter.to_blob())
    write_durably(path, dump_spec(spec).encode())
    return path


def initial_blob_file(spec_path: Path, spec: FederationSpec) -> Path:
    """Path of the first adapter: beside the specification, named by its hash."""
    return spec_file(spec_path).parent / f"{spec.base.initial}.safetensors"


def adopt_initial(spec_path: Path, spec: FederationSpec, data_dir: Path) -> None:
    """Copies the first adapter to the coordinator's data folder unless it is there undamaged; its hash is checked."""
    check_side(data_dir, "coordinator")
    blobs = BlobStore(data_dir / "blobs")
    file = initial_blob_file(spec_path, spec)
    if blobs.is_whole(spec.base.initial) or not file.is_file():
        return
    data = file.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != spec.base.initial:
        raise UserFacingError("update.wrong_hash", found=found, expected=spec.base.initial)
    blobs.write(data)
