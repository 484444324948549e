# SPDX-License-Identifier: Apache-2.0
"""Working threads for tests over real sockets, closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedmed_desktop.site import Jobs


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """The working thread of the sites that share it."""
    one = Jobs()
    yield one
    one.close()


@pytest.fixture
def other() -> Iterator[Jobs]:
    """A second working thread, for sites that must not wait for those of `jobs`."""
    one = Jobs()
    yield one
    one.close()
