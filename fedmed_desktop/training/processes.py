# SPDX-License-Identifier: Apache-2.0
"""The processes of one site that train together: what the first one tells the others, and how gradients are added up.

Everything passes over torch.distributed: gloo, and between GPUs NCCL. What is told is safetensors and JSON, since
torch's own messages are pickle, which runs whatever arrives.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from ..errors import UserFacingError
from .device import default_threads
from .place import Place

LONGEST_SHARE: Final = timedelta(hours=1)
"""After which the first process gives up one that does not answer. The others wait as long as a round may take."""

_ALWAYS: Final = timedelta(days=3650)
_VALUES: Final = "values"


class Lost(Exception):
    """Another process of the site has ended or does not answer; this one cannot go on."""


class Processes:
    """Line of this process to the others, used by one thread at a time. What it waits for, all of them must call."""

    def __init__(self, place: Place) -> None:
        """Waits until all have come. Raises UserFacingError where there are fewer GPUs than processes."""
        self.place = place
        self.lost = False
        device = None
        if torch.cuda.is_available():
            if place.count > torch.cuda.device_count():
                raise UserFacingError("training.few_cards", processes=place.count, cards=torch.cuda.device_count())
            torch.cuda.set_device(place.rank)
            device = torch.device("cuda", place.rank)
        # What is said here is of the notes: it stays on this machine.
        own = "lo0" if sys.platform == "darwin" else "lo"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", own)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", own)
        with self._heard():
            dist.init_process_group("cpu:gloo,cuda:nccl" if device else "gloo", device_id=device)
            # A group of its own: a pause, or a person who decides, may keep the others waiting for days.
            self._told = dist.new_group(backend="gloo", timeout=LONGEST_SHARE if place.leads else _ALWAYS)

    @property
    def threads(self) -> int:
        """Torch's threads in each process, so that together they take no more cores than one process would."""
        return max(1, default_threads() // self.place.count)

    def tell(
        self, order: str, values: Mapping[str, Any] | None = None, tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        """The first process's order to all others."""
        text = json.dumps({"order": order, **(values or {})}).encode()
        data = save({**(tensors or {}), _VALUES: torch.frombuffer(bytearray(text), dtype=torch.uint8)})
        message = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        with self._heard():
            dist.broadcast(torch.tensor([len(message)]), 0, group=self._told)
            dist.broadcast(message, 0, group=self._told)

    def hear(self) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
        """The next order of the first process, with its values and tensors."""
        size = torch.zeros(1, dtype=torch.int64)
        with self._heard():
            dist.broadcast(size, 0, group=self._told)
            message = torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(message, 0, group=self._told)
        tensors = load(message.numpy().tobytes())
        values = json.loads(tensors.pop(_VALUES).numpy().tobytes())
        return values.pop("order"), values, tensors

    def said(self, state: int, number: float = 0.0) -> list[tuple[int, float]]:
        """A state and a number from every process, in their order; these are this one's."""
        own = torch.tensor([state, number], dtype=torch.float64)
        found = [torch.zeros_like(own) for _ in range(self.place.count)]
        with self._heard():
            dist.all_gather(found, own, group=self._told)
        return [(int(one[0]), float(one[1])) for one in found]

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Lets one process after the other do what is inside, such as reading a large model into the same memory."""
        for rank in range(self.place.count):
            if rank == self.place.rank:
                yield
            self.said(0)

    def lend(self, values: Tensor) -> None:
        """Makes the values in all processes those of the first."""
        with self._heard():
            dist.broadcast(values, 0)

    def add_up(self, values: Tensor) -> None:
        """Makes the values in the first process the sum of those in all."""
        with self._heard():
            dist.reduce(values, 0)

    def close(self) -> None:
        """Takes the line down in all processes together. The first one's others are told to end."""
        if not self.lost:
            with suppress(Lost):  # what remains to be done is the same
                if self.place.leads:
                    self.tell("end")
                self.said(0)  # none closes its end while another still reads
        dist.destroy_process_group()
        del self._told  # its connections stay open as long as it is held

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """A connection that breaks means that its other end has gone. Raises Lost."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.lost = True
            raise Lost(str(error)) from error
