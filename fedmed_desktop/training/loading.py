# SPDX-License-Identifier: Apache-2.0
"""One base model per process, loaded on the working thread at first need and kept."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserFacingError
from ..lora.base_model import FileState, file_state, weight_count
from .base import BaseModel
from .device import Quantization, choose_device
from .needs import is_too_large
from .processes import Processes


class LoadedBase:
    """A base model that is loaded when it is first asked for, then shared by all sites of the process.

    `state`: the state that the files must be in when loaded, taken before the model's fingerprint. `processes`: those
    that train on it together; the first one's asking for it has all of them load it. `shard`: split over them; None:
    where one GPU cannot hold it. `float32`: on the CPU in any case, see device.ENOUGH_FOR_BFLOAT16.
    """

    def __init__(
        self,
        folder: Path,
        quantization: Quantization | None = None,
        threads: int | None = None,
        state: FileState | None = None,
        processes: Processes | None = None,
        shard: bool | None = None,
        float32: bool = False,
    ) -> None:
        self.folder = folder
        self._quantization: Quantization | None = quantization
        self._threads = threads
        self._state = state
        self._processes = processes
        self._shard = shard
        self._float32 = float32
        self._base: BaseModel | None = None

    def get(self) -> BaseModel:
        """The model. Raises UserFacingError if it cannot be loaded or has changed. On the working thread."""
        if self._base is None:
            if self._processes and self._processes.place.leads:
                if self._shard is None:
                    self._shard = is_too_large(self.folder, self._quantization)
                self._processes.tell("load", {"shard": self._shard, "float32": self._float32})
            self._base = self._loaded()
        return self._base

    def follow(self, shard: bool, float32: bool) -> BaseModel:
        """The model in a process that follows, as the first one loads it."""
        self._shard, self._float32 = shard, float32
        return self.get()

    def _loaded(self) -> BaseModel:
        if self._shard and self._quantization == "nf4":
            raise UserFacingError("training.shard_nf4")
        over = self._processes if self._shard else None
        device = choose_device(self._quantization, weights=0 if self._float32 else weight_count(self.folder))
        base = BaseModel.load(self.folder, device, self._threads, over)
        if self._state is not None and file_state(self.folder) != self._state:
            raise UserFacingError("model.changed", path=str(self.folder))
        base.processes = self._processes
        return base

    def use_threads(self, threads: int) -> None:
        """Sets the number of threads for the next job, also if the model is already loaded."""
        self._threads = threads
        if self._base is not None:
            self._base.threads = threads
