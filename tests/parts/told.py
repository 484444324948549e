# SPDX-License-Identifier: Apache-2.0
"""Errors as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told


@contextmanager
def told_as(words: str) -> Iterator[pytest.ExceptionInfo[UserFacingError]]:
    """Expects a UserFacingError whose sentence matches the pattern `words`."""
    with pytest.raises(UserFacingError) as caught:
        yield caught
    assert re.search(words, told(caught.value)), told(caught.value)
