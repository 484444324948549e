# SPDX-License-Identifier: Apache-2.0
"""Federations on a bad network, or whose processes are killed: what is lost, what hangs, and how long it takes.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/faults.py [--runs N] [--first SEED] [--kill] [--check]

Without --kill: two sites and a coordinator in this process, over real sockets, one of the sites through a line that
cuts, drops, stalls, goes half-open, duplicates, truncates, corrupts, reorders, throttles or delays, in each phase of a
round (tests/parts/bad_network.py). Seeds take every kind in every phase in turn: 80 over TLS, the next 80 over a plain
line of this computer, and so on; from seed 160 on there are up to three faults in a run. With --kill: real processes,
one of which gets SIGKILL at a random instant, several times in a run (tests/parts/kills.py).

In every run both sites must take part and end with the same final hash as in an undisturbed run, and each update for
which there is a receipt must be in the result exactly once. Prints a table and JSON; `--check`: status 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.parts.bad_network import Run, federation, impatient, measured, planned
from tests.parts.faulty_line import KINDS

_PATIENCE: Final = 60.0  # no fault lasts longer than three seconds
_OVER_ONE_TRANSPORT: Final = 80


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, metavar="N", help="(300)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="(0)")
    parser.add_argument("--kill", action="store_true", help="kill processes instead")
    parser.add_argument("--check", action="store_true", help="status 1 where anything was lost or hung")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    seeds = range(options.first, options.first + options.runs)
    if options.kill:
        from tests.parts.kills import killed_runs

        result = asyncio.run(killed_runs(seeds, say))
    else:
        result = asyncio.run(faulty_runs(seeds))
    result = {"benchmark": "faults", "load": os.getloadavg()[0], **result}
    say(json.dumps(result, indent=1))
    return 1 if options.check and result["bad"] else 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def faulty_runs(seeds: range) -> dict[str, Any]:
    runs: list[Run] = []
    with impatient():
        calm = {}
        for tls in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                calm[tls] = await measured(Path(folder), tls)
        finals = set.union(*(run.final for run, _ in calm.values()))
        assert len(finals) == 1, finals
        for seed in seeds:
            tls = seed // _OVER_ONE_TRANSPORT % 2 == 0
            phase, faults = planned(seed, tls, calm[tls][1])
            with tempfile.TemporaryDirectory() as folder:
                run = await federation(Path(folder), seed, tls, faults, _PATIENCE)
            run.phase = phase
            if run.final != finals:
                run.faults.append(f"another final hash: {run.final}")
            runs.append(run)
            if run.faults:
                say(f"seed {seed}, {'TLS' if tls else 'plain'}, {phase}: {run.struck}: {'; '.join(run.faults)}")
    say(_table(runs))
    seconds = sorted(run.seconds for run in runs)
    return {
        "runs": len(runs),
        "bad": [{"seed": run.seed, "faults": run.faults} for run in runs if run.faults],
        "struck": sum(len(run.struck) for run in runs),
        "connections": sum(run.connections for run in runs),
        "seconds": {
            "undisturbed": round(max(run.seconds for run, _ in calm.values()), 2),
            "median": round(seconds[len(seconds) // 2], 2),
            "most": round(seconds[-1], 2),
        },
        "final": sorted(finals),
    }


def _table(runs: list[Run]) -> str:
    rows: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for kind in {fault.kind for fault in run.struck} or {"none"}:
            rows[kind].append(run)
    lines = ["kind          runs   bad   longest (s)"]
    for kind in (*KINDS, "none"):
        if found := rows.get(kind):
            bad, longest = sum(bool(run.faults) for run in found), max(run.seconds for run in found)
            lines.append(f"{kind:12} {len(found):5} {bad:5} {longest:13.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
