# SPDX-License-Identifier: Apache-2.0
"""Time until something answers, beside bare imports; and what an idle program holds in memory.

    .venv/bin/python packaging/benchmarks/startup.py [--runs N] [--keep] [--check]

Each runs N times in a fresh process, in turn with its peer, so that a busy machine slows all alike. "Fresh" is all that
is cold here: byte code and files are in the disk's cache from a run before. The first start after the computer's own
takes as long as its disk does, and is not measured. Peers are `python -c "import ..."` of

- numpy, pydantic and websockets, for the command line and for a coordinator until it serves (aims: 1.5 and 3 times);
- PySide6.QtWidgets and pyqtgraph, for the window, drawn offscreen in an empty home until its first paint (2.5);
- torch, transformers and peft, for the bundled model's first training step, notes read and base loaded (1.1).

On Linux also what is resident, MiB: a coordinator that serves before any site has come, without and with TLS (aim: 60),
and the desktop before torch is loaded (250).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from arms import Figures, Ratio, Told, in_turn
from raw_lines import Process, stopped

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
Arguments = tuple[str, ...]

PEER: Final = ("-c", "import numpy, pydantic, websockets")
QT_PEER: Final = ("-c", "import PySide6.QtWidgets, pyqtgraph")
TORCH_PEER: Final = ("-c", "import torch, transformers, peft")
COMMANDS: Final = {
    "--version": ("-m", "fedmed_desktop", "--version"),
    "--help": ("-m", "fedmed_desktop", "--help"),
    "--coordinator --help": ("-m", "fedmed_desktop", "--coordinator", "--help"),
}

# The way of the command line, up to the moment at which the window has painted itself. It ends there, hard: how long
# closing takes is another question. With a number of seconds it stays idle for so long, and tells what it holds.
FIRST_PAINT: Final = """
import os, sys, time
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
if len(sys.argv) > 2:
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.01)
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")), flush=True)
os._exit(0)
"""

FIRST_STEP: Final = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from shapes import base_of, examples_of, plan_of, start_of
from fedmed_desktop.federation.work import Control
from fedmed_desktop.training.checkpoints import Checkpoint
from fedmed_desktop.training.device import choose_device
from fedmed_desktop.training.loop import Training
base = base_of("bundled", choose_device(prefer="cpu"), 1)
examples, start = examples_of(base, 16), start_of(base)
base.lora.attach(start)
checkpoint = Checkpoint(Path(sys.argv[2]), "training", "key")
Training(base, examples, plan_of(start, 1, 8), start, checkpoint).run(lambda step: os._exit(0), Control())
"""

AIMS: Final = [
    *(Ratio(name, "bare imports", "seconds", most=1.5 if name == "--version" else None) for name in COMMANDS),
    Ratio("coordinator serving", "bare imports", "seconds", most=3.0),
    Ratio("first paint", "bare imports", "seconds", most=2.5),
    Ratio("first training step", "bare imports", "seconds", most=1.1),
]
MOST_MIB: Final = {"coordinator": 60.0, "coordinator, TLS": 60.0, "desktop before torch": 250.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11, metavar="N", help="of each command (11)")
    parser.add_argument("--keep", action="store_true", help="write results/startup.json")
    parser.add_argument("--check", action="store_true", help="status 1 where a bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        federation = _federation(Path(home) / "federation")
        arms: dict[str, Mapping[str, Arguments]] = {
            "the command line": {"bare imports": PEER, **COMMANDS},
            "the window": {"bare imports": QT_PEER, "first paint": ("-c", FIRST_PAINT, home)},
            "training": {"bare imports": TORCH_PEER, "first training step": ("-c", FIRST_STEP, str(HERE), home)},
        }
        for words in (words for group in arms.values() for words in group.values()):
            _run(words)  # byte code and disk cache are warm before the clock counts
        cases = [
            in_turn(name, {arm: partial(_run, words) for arm, words in group.items()}, options.runs)
            for name, group in arms.items()
        ]
        serving = {"bare imports": partial(_run, PEER), "coordinator serving": partial(_serves, federation)}
        cases.append(in_turn("a coordinator", serving, options.runs))
        held = _held(federation, home) if sys.platform == "linux" else {}
    told = Told("startup", cases, AIMS, {"runs": options.runs, "MiB": held, "MiB at most": MOST_MIB})
    told.show()
    if options.keep:
        told.keep()
    small = all(held[name] <= most for name, most in MOST_MIB.items() if name in held)
    return 0 if (told.good and small) or not options.check else 1


def _run(arguments: Arguments) -> Figures:
    """Times of one fresh interpreter. A command that fails has none: CalledProcessError."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {"seconds": time.perf_counter() - start, "cpu": cpu}


def _federation(folder: Path) -> tuple[str, ...]:
    """The words that start a coordinator on a new federation; it has been started once, as a second start is usual."""
    from rounds import founded

    config, _ = founded(folder, 4, 0)
    words = (
        "-m",
        "fedmed_desktop",
        "--coordinator",
        "--config",
        str(config),
        "--data-dir",
        str(folder / "coordinator"),
    )
    words += ("--port", "0")
    _serves(words)
    return words


def _serves(words: Arguments) -> Figures:
    """Seconds until a coordinator says where it serves."""
    start = time.perf_counter()
    with stopped([Process(*words)]) as (process,):
        process.line()
        return {"seconds": time.perf_counter() - start, "cpu": process.cpu()}


def _held(coordinator: Arguments, home: str) -> dict[str, float]:
    """Resident memory of programs that wait, MiB."""
    found = {}
    for name, words in (("coordinator", coordinator), ("coordinator, TLS", (*coordinator, "--tls"))):
        with stopped([Process(*words)]) as (process,):
            process.line()
            time.sleep(2)
            found[name] = round(process.memory("VmRSS") / 2**20, 1)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", FIRST_PAINT, home, "2"]
    told = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found["desktop before torch"] = round(int(told.split()[-1]) / 1024, 1)
    return found


if __name__ == "__main__":
    sys.exit(main())
