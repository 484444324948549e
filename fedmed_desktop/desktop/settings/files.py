# SPDX-License-Identifier: Apache-2.0
"""Looks up what Settings shows of this computer, and writes support bundles. Not for the GUI thread."""

from __future__ import annotations

import io
import os
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from ... import __version__
from ...errors import UserFacingError
from ...files import write_durably
from ...site.policy_file import PolicyFiles, check_policy
from ...storage.secrets import where_kept
from ...wording import told, tr
from ...wording.findings import kept_line
from ...wording.policy_in_force import Said, in_force
from ..work.requests import JoinRequest
from ..work.settings import Settings
from .support import log_part, settings_part, told_part

# What this program stands on; of these, those that are installed.
PACKAGES: Final = (
    *("PySide6-Essentials", "shiboken6", "pyqtgraph", "torch", "transformers", "peft", "accelerate", "safetensors"),
    *("numpy", "pydantic", "websockets", "cryptography", "keyring", "polars", "rich", "psutil", "bitsandbytes"),
    *("wakepy", "nvidia-ml-py"),
)
_MOST_LOG: Final = 200_000  # bytes from the end of the log


@dataclass(frozen=True)
class Known:
    """`key`: where the secret key lies. `policy`: its sentences, or why it counts for nothing; `locked`: keys that only
    this computer's administrator sets. `packages`: name, version, licence.
    """

    key: str
    policy: tuple[Said, ...] = ()
    policy_fault: str = ""
    locked: frozenset[str] = frozenset()
    packages: tuple[tuple[str, str, str], ...] = ()


def look(joined: JoinRequest | None, files: PolicyFiles | None = None) -> Known:
    """Everything that lies in files; milliseconds."""
    policy, fault = (files or PolicyFiles())(), ""
    try:
        check_policy(policy)
    except UserFacingError as error:
        fault = told(error)
    locked = frozenset(key for layer in policy.layers for key in getattr(layer.policy, "locked", ()))
    return Known(_key(joined), () if fault else tuple(in_force(policy)), fault, locked, packages())


def _key(joined: JoinRequest | None) -> str:
    try:
        kept = where_kept(joined.data_dir, "site") if joined else None
    except UserFacingError as error:
        return told(error)
    return kept_line(kept) if kept else tr("There is none yet. It is made when this site joins a federation.")


def packages() -> tuple[tuple[str, str, str], ...]:
    """Installed packages that the program stands on, with their licences as they state them."""
    found = []
    for name in PACKAGES:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        found.append((name, about["Version"], _licence(about)))
    return tuple(found)


def _licence(about: metadata.PackageMetadata) -> str:
    """Licence as the package states it: some state the whole text, and some nothing."""
    stated = next((about[key].strip() for key in ("License-Expression", "License") if key in about), "")
    classified = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License")]
    is_name = stated and len(stated) < 60 and not stated.startswith("Copyright")
    return stated if is_name else ", ".join(classified) or tr("not stated")


def available_cores() -> int:
    """Cores that this process may use; training asks torch's side for the same."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# -- the support bundle ------------------------------------------------------------------------------------------------


def support_parts(values: Settings, log: Path) -> dict[str, str]:
    """Texts of a support bundle by the name of their file."""
    import psutil

    about = {
        "fedmed-desktop": __version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
        "cores": str(available_cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        **{name: version for name, version, _ in packages()},
    }
    return {
        "about.txt": told_part(about),
        "settings.txt": settings_part(values),
        "log.txt": log_part(_end_of(log)),
    }


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _MOST_LOG))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def write_support(parts: Mapping[str, str], path: Path) -> Path:
    """Writes these texts, and nothing else, into a zip file. Raises UserFacingError."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in parts.items():
            bundle.writestr(name, text)
    write_durably(path, content.getvalue())
    return path
