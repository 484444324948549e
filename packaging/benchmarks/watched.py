# SPDX-License-Identifier: Apache-2.0
"""Coordinator as the command line starts it, which also tells upon SIGUSR1 how many tasks and objects it has.

    python watched.py --coordinator --config FILE --data-dir DIR ...

`Watched` is its process as a benchmark sees it: memory, file handles and threads from /proc, the rest from the answer.
Run by endurance.py; Linux only.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from raw_lines import Process

PATIENCE: Final = 600.0
_TOLD: Final = "holds "


class Watched(Process):
    """A child process all of whose lines are read as they come: nobody waits for a full pipe."""

    def __init__(self, *command: str) -> None:
        super().__init__(*command)
        self.lines: list[str] = []
        self._answers: queue.Queue[str] = queue.Queue()
        self._more = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith(_TOLD):
                self._answers.put(line)
            with self._more:
                self.lines.append(line.strip())
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def until(self, words: str, seconds: float = PATIENCE) -> str:
        """The first line so far, or to come, with these words."""
        found = ""

        def there() -> bool:
            nonlocal found
            found = next((line for line in self.lines if words in line), "")
            return bool(found) or self._ended

        with self._more:
            self._more.wait_for(there, seconds)
        if not found:
            raise RuntimeError(f"no line with {words!r}; the last ones: {self.lines[-20:]}")
        return found

    def holds(self) -> dict[str, int]:
        """Bytes of memory, and numbers of open files and threads."""
        place = Path(f"/proc/{self.child.pid}")
        return {
            "bytes": self.memory("VmRSS"),
            "files": len(list((place / "fd").iterdir())),
            "threads": len(list((place / "task").iterdir())),
        }

    def asked(self) -> dict[str, int]:
        """Memory that it holds, with what it says itself."""
        self.go()
        answer = json.loads(self._answers.get(timeout=60).removeprefix(_TOLD))
        return {**self.holds(), **answer}


def tell(*signal_and_frame: object) -> None:
    gc.collect()
    answer = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
    os.write(1, f"{_TOLD}{json.dumps(answer)}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    from fedmed_desktop.cli import main

    sys.exit(main(sys.argv[1:]))
