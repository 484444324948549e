# SPDX-License-Identifier: Apache-2.0
"""Findings about this computer as sentences: where its secret key lies."""

from __future__ import annotations

from ..storage.secrets import Kept
from . import sentence, together


def kept_line(kept: Kept) -> str:
    """Where the secret key lies and, if that is not the keyring, why not."""
    why = sentence(kept.reason, {}) if kept.reason else ""
    return together(sentence(kept.code, {"detail": kept.detail}), why)
