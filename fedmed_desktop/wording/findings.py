# SPDX-License-Identifier: Apache-2.0
"""Findings as sentences: about the way to a coordinator, this computer, and where its secret key lies."""

from __future__ import annotations

from typing import Final

from ..site.findings import Finding, Subject
from ..storage.secrets import Kept
from . import sentence, together
from .translation import later, tr

_SUBJECTS: Final[dict[Subject, str]] = {
    "address": later("Address"),
    "proxy": later("Proxy"),
    "name": later("Name"),
    "line": later("Connection"),
    "encryption": later("Encryption"),
    "identity": later("Identity"),
    "version": later("Version"),
    "clock": later("Clock"),
    "speed": later("Speed"),
    "disk": later("Disk"),
    "memory": later("Memory"),
    "key": later("Secret key"),
    "gpu": later("GPU"),
    "training": later("What it can train"),
}


def subject(finding: Finding) -> str:
    """A word for what was looked at."""
    return tr(_SUBJECTS[finding.subject])


def finding_line(finding: Finding) -> str:
    """Says how it is and, unless all is well, what to do."""
    because = sentence(finding.because, finding.params) if finding.because else ""
    return together(sentence(finding.code, finding.params), because)


def kept_line(kept: Kept) -> str:
    """Says where the secret key lies and, if that is not the keyring, why not."""
    why = sentence(kept.reason, {}) if kept.reason else ""
    return together(sentence(kept.code, {"detail": kept.detail}), why)
