# SPDX-License-Identifier: Apache-2.0
"""Combining updates from disk: processor time beside numpy's mean of the same bytes, and memory for each more site.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/combining.py [--updates 2,10,50] [--modules N] [--check]

Each figure is of a fresh process. Ours reads every update module by module, hashes every byte, checks every value,
averages in float64 and computes the residual, which costs more with the square of the number of updates. The peer maps
the same files and takes `numpy.mean` over them in float64, module by module, and does nothing else. Memory is the peak
beyond what the process held once everything was imported, less the result, in modules (float32) for each update. Prints
a table and JSON; `--check` ends with status 1 where an update costs more than 4 modules of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from fedmed_desktop.federation.combine import COMBINERS, Goal, Term
from fedmed_desktop.lora import Adapter, BlobReader, Module

SIDE, RANK, SCALE = 4096, 16, 4.0
MODULE: Final = 2 * SIDE * RANK * 4  # bytes
MOST_MODULES: Final = 4.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", default="2,10,50", help="numbers of updates (2,10,50)")
    parser.add_argument(
        "--modules", type=int, default=16, metavar="N", help="of each update, half a mebibyte each (16)"
    )
    parser.add_argument("--check", action="store_true", help="status 1 where the bound is missed")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        json.dump(measured(options.one[0], Path(options.one[1])), sys.stdout)
        return 0
    rows = []
    for count in map(int, options.updates.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                write(Path(folder), number, options.modules)
            told = {way: fresh(way, folder) for way in ("factors", "product", "mean")}
        size = options.modules * MODULE
        row: dict[str, Any] = {"updates": count, "mean_cpu": round(told["mean"]["cpu"], 3)}
        for way in ("factors", "product"):
            row[f"{way}_cpu"] = round(told[way]["cpu"], 3)
            row[f"{way}_ratio"] = round(told[way]["cpu"] / told["mean"]["cpu"], 1)
            row[f"{way}_modules_per_update"] = round((told[way]["peak"] - size) / count / MODULE, 2)
        rows.append(row)
    widths = {key: max(len(key), 8) for key in rows[0]}
    lines = ["  ".join(f"{key:>{width}}" for key, width in widths.items())]
    lines += ["  ".join(f"{row[key]:>{width}}" for key, width in widths.items()) for row in rows]
    print("\n".join(lines))
    result = {"benchmark": "combining", "modules": options.modules, "load": os.getloadavg()[0], "rows": rows}
    print(json.dumps(result, indent=1))
    good = rows[-1]["factors_modules_per_update"] <= MOST_MODULES
    return 0 if good or not options.check else 1


def write(folder: Path, number: int, modules: int) -> None:
    rng = np.random.default_rng(number)
    made = {}
    for at in range(modules):
        b, a = (rng.standard_normal(shape, dtype=np.float32) for shape in ((SIDE, RANK), (RANK, SIDE)))
        made[f"model.layers.{at:03}.q_proj"] = Module(b, a, SCALE)
    (folder / f"{number:04}").write_bytes(Adapter(made).to_blob())


def fresh(way: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", way, folder]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def measured(way: str, folder: Path) -> dict[str, float]:
    paths = sorted(folder.iterdir())
    hashes = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in paths]  # in the disk's cache now
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if way == "mean":
        mean_of(paths)
    else:
        with ExitStack() as files:
            readers = [files.enter_context(BlobReader(*each)) for each in zip(paths, hashes, strict=True)]
            terms = [Term(sha256, 1 / len(paths), one) for sha256, one in zip(hashes, readers, strict=True)]
            COMBINERS["factors" if way == "factors" else "product"](terms, Goal(rank=RANK))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"cpu": time.process_time() - began, "peak": peak}


def mean_of(paths: list[Path]) -> list[Any]:
    start = paths[0].stat().st_size % MODULE  # the tensors are the end of the file
    maps = [np.memmap(path, np.float32, mode="r", offset=start) for path in paths]
    many, step = len(maps[0]) // (MODULE // 4), MODULE // 4
    found = []
    for at in range(many):
        stacked = np.stack([one[at * step : (at + 1) * step] for one in maps])
        found.append(stacked.mean(axis=0, dtype=np.float64).astype(np.float32))
    return found


if __name__ == "__main__":
    sys.exit(main())
