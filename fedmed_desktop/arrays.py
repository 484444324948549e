# SPDX-License-Identifier: Apache-2.0
"""numpy, loaded where something of it is first used: a coordinator that waits for its first site needs none of it.

`from ..arrays import np` in place of `import numpy as np` in what a coordinator imports. Any thread.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

__all__ = ["np", "one_thread"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _Numpy:
        """numpy by its names; each is asked for once. `import` itself sees to it that threads do not load it twice."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            found = self.__dict__[name] = getattr(numpy, name)
            return found

    np = _Numpy()


def one_thread() -> AbstractContextManager[Any]:
    """One thread for numpy's products meanwhile: where last bits must not depend on the number of threads."""
    import numpy  # noqa: F401 - what is not loaded yet would not be limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits
