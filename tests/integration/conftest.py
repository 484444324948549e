# SPDX-License-Identifier: Apache-2.0
"""What tests over real sockets share: they may be coroutines, and their working threads are closed whatever happens."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from fedmed_desktop.site import Jobs


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine on an event loop of its own, with nothing left running on it afterwards."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**given))
    return True


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
