# SPDX-License-Identifier: Apache-2.0
"""How long the command line takes to answer, as a ratio to importing what a coordinator cannot do without.

    .venv/bin/python packaging/benchmarks/startup.py [--runs N]

Each command runs N times in a fresh interpreter, interleaved with the peer `python -c "import numpy, pydantic,
websockets"`, so that a busy machine slows all alike. Prints JSON; a ratio below 1 answers before the peer has imported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PEER: Final = ("-c", "import numpy, pydantic, websockets")
COMMANDS: Final = {
    "--version": ("-m", "fedmed_desktop", "--version"),
    "--help": ("-m", "fedmed_desktop", "--help"),
    "--coordinator --help": ("-m", "fedmed_desktop", "--coordinator", "--help"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11, metavar="N", help="runs of each command (11)")
    runs = parser.parse_args().runs
    for arguments in (PEER, *COMMANDS.values()):  # byte code and disk cache are warm before the clock counts
        seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in ("peer", *COMMANDS)}
    for _ in range(runs):
        times["peer"].append(seconds(PEER))
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    peer = statistics.median(times["peer"])
    ratios = {name: round(statistics.median(times[name]) / peer, 3) for name in COMMANDS}
    print(json.dumps({"benchmark": "startup", "peer": PEER[1], "runs": runs, "ratio": ratios}, indent=1))


def seconds(arguments: tuple[str, ...]) -> float:
    """Wall time of one fresh interpreter. A command that fails has no time: CalledProcessError."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
