# SPDX-License-Identifier: Apache-2.0
"""How long until something answers: the command line, and the desktop's first paint, as ratios to bare imports.

    .venv/bin/python packaging/benchmarks/startup.py [--runs N] [--check]

Each runs N times in a fresh process, interleaved with its peer, so that a busy machine slows all alike. "Fresh" is all
that is cold here: byte code and files are in the disk's cache from a run before. The first start after the computer's
own takes as long as its disk does, and is not measured.

The command line's peer is `python -c "import numpy, pydantic, websockets"` (a ratio below 1 answers before the peer has
imported); that of the desktop's window, drawn offscreen in an empty home until its first paint event, is
`python -c "import PySide6.QtWidgets, pyqtgraph"` (bound: 2.5; aim: under one second on two cores). Prints JSON; the
medians in seconds beside the ratios are of this machine only, so `--check` ends with status 1 over that ratio alone.

On Linux also what a coordinator holds in memory (resident, MiB) once it serves and before any site has come, without
and with TLS (aim: 60).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
Arguments = tuple[str, ...]

PEER: Final = ("-c", "import numpy, pydantic, websockets")
COMMANDS: Final = {
    "--version": ("-m", "fedmed_desktop", "--version"),
    "--help": ("-m", "fedmed_desktop", "--help"),
    "--coordinator --help": ("-m", "fedmed_desktop", "--coordinator", "--help"),
}
QT_PEER: Final = ("-c", "import PySide6.QtWidgets, pyqtgraph")

# The way of the command line, up to the moment at which the window has painted itself. It ends there, hard: how long
# closing takes is another question.
FIRST_PAINT: Final = """
import os, sys
from pathlib import Path
from fedmed_desktop.desktop import preflight
preflight.check()
preflight.prepare()
from fedmed_desktop.desktop.app import open_window
from fedmed_desktop.desktop.options import DesktopOptions
from PySide6.QtCore import QEvent, QObject

class Painted(QObject):
    done = False

    def eventFilter(self, watched, event):
        self.done = self.done or (event.type() == QEvent.Type.Paint and watched.isWidgetType())
        return False

painted = Painted()
app, window = open_window(DesktopOptions(data_dir=Path(sys.argv[1])))
app.installEventFilter(painted)
while not painted.done:
    app.processEvents()
assert "torch" not in sys.modules
os._exit(0)
"""


MOST_RATIO: Final = 2.5  # of the first paint


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11, metavar="N", help="runs of each command (11)")
    parser.add_argument("--check", action="store_true", help=f"status 1 where first paint is over {MOST_RATIO} x peer")
    options = parser.parse_args()
    runs: int = options.runs
    with tempfile.TemporaryDirectory() as home:
        desktop: dict[str, Arguments] = {"first paint": ("-c", FIRST_PAINT, home)}
        commands, window = compare(PEER, COMMANDS, runs), compare(QT_PEER, desktop, runs)
    found = {"benchmark": "startup", "runs": runs, "groups": [commands, window]}
    if sys.platform == "linux":
        found["idle coordinator, MiB"] = {"plain": idle_mebibytes(), "tls": idle_mebibytes("--tls")}
    print(json.dumps(found, indent=1))
    ratio = window["ratio"]["first paint"]
    if options.check and ratio > MOST_RATIO:
        print(f"the first paint takes {ratio} times its peer's time; the bound is {MOST_RATIO}", file=sys.stderr)
        return 1
    return 0


def compare(peer: Arguments, commands: dict[str, Arguments], runs: int) -> dict[str, Any]:
    """Median times in seconds, and their ratios to the peer's."""
    every = {"peer": peer, **commands}
    for arguments in every.values():  # byte code and disk cache are warm before the clock counts
        seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(runs):
        for name, arguments in every.items():
            times[name].append(seconds(arguments))
    median = {name: round(statistics.median(each), 3) for name, each in times.items()}
    ratios = {name: round(median[name] / median["peer"], 3) for name in commands}
    return {"peer": peer[1], "ratio": ratios, "seconds": median}


def idle_mebibytes(*options: str) -> float:
    """Resident memory of a coordinator that serves and waits for its first site: the second start, as most are."""
    from raw_lines import Process, stopped
    from rounds import founded

    with tempfile.TemporaryDirectory() as folder:
        config, _ = founded(Path(folder) / "federation", 4, 0)
        data = config.parent / "coordinator"
        command = ("-m", "fedmed_desktop", "--coordinator", "--config", str(config), "--data-dir", str(data))
        with stopped([Process(*command, "--port", "0", *options)]) as (process,):
            process.line()
            time.sleep(2)
            return round(process.memory("VmRSS") / 2**20, 1)


def seconds(arguments: Arguments) -> float:
    """Wall time of one fresh interpreter. A command that fails has no time: CalledProcessError."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
