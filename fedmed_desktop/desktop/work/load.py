# SPDX-License-Identifier: Apache-2.0
"""Load of this computer while it trains: the GPU's as its driver tells it (NVML), else the processor's."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from .log import log
from .news import Load


class LoadMeter:
    """`read` from one thread at a time, not the GUI thread: a driver may take its time. Processor load is the mean
    since the reading before; the first one has none.
    """

    def __init__(self) -> None:
        self._nvml: Any = None
        self._tried = self._has_read = False

    def read(self) -> Load | None:
        """None where nothing can be told."""
        if not self._tried:
            self._tried = True
            self._nvml = _opened()
        if self._nvml is not None:
            try:
                return _gpu(self._nvml)
            except self._nvml.NVMLError as error:  # the driver was updated, or the GPU is gone
                log.warning("the load of the GPU cannot be read any more: %s", error)
                self._nvml = None
        import psutil

        share, memory = psutil.cpu_percent() / 100, psutil.virtual_memory()
        if not self._has_read:
            self._has_read = True
            return None
        return Load("processor", share, memory.total - memory.available, memory.total)


def _opened() -> Any:
    """NVML, ready to be asked; None where there is no GPU of NVIDIA, or no driver."""
    with contextlib.suppress(ImportError):
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            if pynvml.nvmlDeviceGetCount():
                return pynvml
    return None


def _gpu(nvml: Any) -> Load:
    """Load of the GPU that training takes: the first that the environment lets it see."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        handle = nvml.nvmlDeviceGetHandleByUUID(first)
    else:
        handle = nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    share: float | None = None
    with contextlib.suppress(nvml.NVMLError):  # a part of a GPU (MIG) tells its memory only
        share = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    return Load("gpu", share, memory.used, memory.total)
