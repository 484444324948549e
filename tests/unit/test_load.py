# SPDX-License-Identifier: Apache-2.0
"""How busy the computer is while it trains: of a GPU what its driver tells, else of the processor."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from fedmed_desktop.desktop.monitor.series import Series
from fedmed_desktop.desktop.monitor.summary import figures
from fedmed_desktop.desktop.work.curves import Curves
from fedmed_desktop.desktop.work.load import LoadMeter
from fedmed_desktop.desktop.work.news import Load
from tests.parts import monitor


class NVMLError(Exception):
    """As NVML's own."""


def driver(gpus: int = 1, tells_load: bool = True) -> SimpleNamespace:
    """Stands in for a driver with some GPUs; `gone` makes every question fail."""
    made = SimpleNamespace(NVMLError=NVMLError, nvmlDeviceGetCount=lambda: gpus, gone=False, asked=[])

    def answer(value: object) -> object:
        if made.gone:
            raise NVMLError("GPU is lost")
        return value

    def load(handle: object) -> object:
        if not tells_load:
            raise NVMLError("not supported")
        return answer(SimpleNamespace(gpu=61))

    made.nvmlInit = lambda: None if gpus else answer(None)
    made.nvmlDeviceGetHandleByIndex = lambda number: made.asked.append(number)
    made.nvmlDeviceGetHandleByUUID = lambda uuid: made.asked.append(uuid)
    made.nvmlDeviceGetMemoryInfo = lambda handle: answer(SimpleNamespace(used=9_800_000_000, total=24_000_000_000))
    made.nvmlDeviceGetUtilizationRates = load
    return made


@pytest.mark.parametrize(("visible", "asked"), [("", 0), ("2,0", 2), ("GPU-1a2b,GPU-9", "GPU-1a2b"), ("x", 0)])
def test_that_the_gpu_that_trains_is_asked(monkeypatch: pytest.MonkeyPatch, visible: str, asked: object) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", made := driver())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    load = LoadMeter().read()
    assert load is not None and load.words == "GPU 61%, 9.8 of 24.0 GB"
    assert made.asked == [asked]


def test_that_a_part_of_a_gpu_tells_its_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(tells_load=False))
    load = LoadMeter().read()
    assert load is not None and load.words == "9.8 of 24.0 GB"


@pytest.mark.parametrize("present", ["no GPU", "no package", "lost"])
def test_that_without_a_gpu_it_is_the_processor(monkeypatch: pytest.MonkeyPatch, present: str) -> None:
    made = driver(gpus=0 if present == "no GPU" else 1)
    monkeypatch.setitem(sys.modules, "pynvml", None if present == "no package" else made)
    meter = LoadMeter()
    made.gone = present == "lost"
    assert meter.read() is None, "the first reading has nothing to compare with"
    load = meter.read()
    assert load is not None and load.kind == "processor" and 0 <= (load.share or 0) <= 1 < load.used < load.total


def test_that_the_monitor_says_it_below_the_memory() -> None:
    curves = Curves()
    curves.fold_many(monitor.run(1, 40))
    busy = figures(Series(curves), load=Load("gpu", 0.61, 9_800_000_000, 24_000_000_000))
    assert busy.memory == ("9.8", "GB", "GPU 61%, 9.8 of 24.0 GB")
    assert figures(Series(curves)).memory.note == ""
