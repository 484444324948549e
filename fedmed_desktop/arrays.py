# SPDX-License-Identifier: Apache-2.0
"""numpy, imported at its first use: a coordinator that waits for its first site does not need it yet.

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
        """Stand-in for numpy: looks each name up once. `import` itself keeps threads from loading it twice."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            found = self.__dict__[name] = getattr(numpy, name)
            return found

    np = _Numpy()


def one_thread() -> AbstractContextManager[Any]:
    """Keeps numpy's matrix products on one thread, where the last bits must not depend on how many there are."""
    import numpy  # noqa: F401 - what is not loaded yet would not be limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits
