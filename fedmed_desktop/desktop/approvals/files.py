# SPDX-License-Identifier: Apache-2.0
"""Files that Approvals writes: the evidence on an update. Not for the GUI thread."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserFacingError


def write_evidence(data: bytes, path: Path) -> None:
    """Exactly these bytes. Raises UserFacingError("desktop.not_written")."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserFacingError("desktop.not_written", path=str(path), reason=error.strerror or str(error)) from error
