# SPDX-License-Identifier: Apache-2.0
"""A second process of a site, over gloo on this machine, for a test that is the first one itself.

python -m tests.parts.processes MODEL     # follows; the order "play" says how many tokens its memory holds at once
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from fedmed_desktop.training.processes import Processes

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 600.0


class Team:
    """The line of the first process, and the program that is the second one."""

    def __init__(self, processes: Processes, second: subprocess.Popen[str]) -> None:
        self.processes, self.second = processes, second
        self._ended = False

    def end(self) -> None:
        """Takes the line down. The second process ends by itself, in order or with an error."""
        if self._ended:
            return
        self._ended = True
        self.processes.close()
        _, said = self.second.communicate(timeout=PATIENCE)
        assert (self.second.returncode == 0) != self.processes.lost, said


@contextmanager
def two_processes(model: Path) -> Iterator[Team]:
    """Ends both at the end. Only one pair at a time: torch knows one line in a process."""
    from fedmed_desktop.training.place import Place
    from fedmed_desktop.training.processes import Processes

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    second = subprocess.Popen(
        [sys.executable, "-m", "tests.parts.processes", str(model)],
        env=os.environ | line | {"RANK": "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in (line | {"RANK": "0"}).items():
                patched.setenv(name, value)
            processes = Processes(Place(0, 2))
        team = Team(processes, second)
        yield team
        team.end()
    finally:
        second.kill()
        second.communicate()


def main(model: str) -> int:
    import torch

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.following import follow
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.place import place_of
    from fedmed_desktop.training.processes import Lost, Processes

    place = place_of()
    assert place is not None
    whole, room = BaseModel.selected_hidden, {"tokens": 10**9}

    def refusing(self: BaseModel, selected: Any, **inputs: Any) -> Any:
        if inputs["input_ids"].numel() > room["tokens"]:
            raise torch.OutOfMemoryError("played by a test")
        return whole(self, selected, **inputs)

    BaseModel.selected_hidden = refusing  # type: ignore[method-assign]
    processes = Processes(place)
    hear = processes.hear

    def playing() -> tuple[str, dict[str, Any], dict[str, Any]]:
        while (heard := hear())[0] == "play":
            room.update(heard[1])
        return heard

    processes.hear = playing  # type: ignore[method-assign]
    try:
        follow(processes, LoadedBase(Path(model), threads=1, processes=processes))
    except Lost as error:
        print(f"lost: {error}", file=sys.stderr)
        return 3
    processes.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
