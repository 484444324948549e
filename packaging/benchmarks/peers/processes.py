# SPDX-License-Identifier: Apache-2.0
"""Processes of a peer, looked at in /proc: processor time and peak memory of everything that a benchmark started."""

from __future__ import annotations

import os
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks every 50 ms at all processes whose command line has this word, until `stop`; keeps the largest figures."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()
        self.peak: dict[int, int] = {}  # bytes, by process
        self.cpu: dict[int, float] = {}  # seconds, by process
        self.commands: dict[int, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit() and int(folder.name) != os.getpid():
                    try:
                        self._note(int(folder.name), folder)
                    except (OSError, StopIteration, IndexError):
                        continue  # it has just ended

    def _note(self, pid: int, folder: Path) -> None:
        command = (folder / "cmdline").read_bytes()
        if self._word not in command:
            return
        self.commands[pid] = command.replace(b"\0", b" ").decode(errors="replace")
        status = (folder / "status").read_text().splitlines()
        self.peak[pid] = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        self.cpu[pid] = (int(fields[11]) + int(fields[12])) / TICKS

    def total_cpu(self) -> float:
        return sum(self.cpu.values())

    def peaks(self, word: str) -> list[int]:
        """Peaks of the processes with this word too, in mebibytes, largest first."""
        found = [peak for pid, peak in self.peak.items() if word in self.commands[pid]]
        return sorted((peak // 2**20 for peak in found), reverse=True)
