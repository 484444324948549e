# SPDX-License-Identifier: Apache-2.0
"""What tests of training share: the tiny model as a base, on the CPU and on one thread. Torch is loaded when asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.lora.base_model import decoder_linears

if TYPE_CHECKING:
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.preparation import LoadedBase


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device

    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), threads=1)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedBase:
    """A base as faces hold it, on whatever device is there."""
    from fedmed_desktop.training.preparation import LoadedBase

    return LoadedBase(tiny_model, threads=1)


@pytest.fixture(scope="module")
def shapes(tiny_model: Path) -> dict[str, tuple[int, int]]:
    return dict(decoder_linears(tiny_model))
