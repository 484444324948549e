# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of all that reads what others have written: messages, invitations, chunks, headers, adapters, plans, files.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/fuzz.py [--minutes 10] [--corpus FOLDER] [TARGET ...]

Guided by coverage where `atheris` can be imported (`pip install atheris`, on Linux; it is no dependency), else with
inputs that hypothesis makes from honest ones. Each target runs in a process of its own for so many minutes, and
starts from what honest sides write (tests/parts/fuzz_targets.py). With --corpus, inputs that led to new code are kept
there, one folder for each target. Prints a table and JSON; status 1 if an input made something else than a refusal
in words, or what was read did not survive being written and read again. Such an input is left in the working folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDED: Final = importlib.util.find_spec("atheris") is not None
NAMES: Final = ("message", "invitation", "chunk", "header", "blob", "packed", "spec", "plan")
LONGEST: Final = 20_000
_FROM_HONEST, _OF_VALUES = 0.4, 0.7  # shares of the changes
_GRACE: Final = 120  # seconds to start and to end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)} (all)")
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="for each target (10)")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="where inputs of interest are kept")
    parser.add_argument("--only", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--kept", type=Path, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.only:
        return run_guided(options.only, options.kept, rest) if GUIDED else run_made(options.only, options.minutes)
    found = [fuzzed(name, options.minutes, options.corpus) for name in options.targets or NAMES]
    lines = ["target       seconds       inputs   edges   crash"]
    lines += [
        f"{one['target']:12} {one['seconds']:7} {one['inputs']:12} {one['edges']:7}   {one['crash']}" for one in found
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(json.dumps({"benchmark": "fuzz", "guided": GUIDED, "targets": found}, indent=1) + "\n")
    return 1 if any(one["crash"] for one in found) else 0


def fuzzed(name: str, minutes: float, corpus: Path | None) -> dict[str, Any]:
    """One target in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        kept = (corpus or Path(folder)) / name
        kept.mkdir(parents=True, exist_ok=True)
        limits = [
            f"-max_total_time={int(minutes * 60)}",
            f"-max_len={LONGEST}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-keep_seed=1",
        ]
        guide = [*limits, f"-artifact_prefix={name}-", "-print_final_stats=1"] if GUIDED else []
        command = [sys.executable, __file__, "--only", name, "--minutes", str(minutes), "--kept", str(kept), *guide]
        began = time.monotonic()
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=minutes * 60 + _GRACE, check=False
        )
    said = ended.stdout + ended.stderr
    inputs = re.findall(r"number_of_executed_units: *(\d+)|inputs: (\d+)|#(\d+)\s", said)
    edges = re.findall(r" cov: (\d+)", said)
    if ended.returncode:
        sys.stderr.write(said[-4000:])
    return {
        "target": name,
        "seconds": round(time.monotonic() - began),
        "inputs": max((int(next(filter(None, one))) for one in inputs), default=0),
        "edges": int(edges[-1]) if edges else 0,
        "crash": ended.returncode,
    }


def run_guided(name: str, folder: Path, options: list[str]) -> int:
    """Fuzzes and never returns: libFuzzer ends the process, with a status other than 0 after a crash."""
    import atheris

    with atheris.instrument_imports(include=["fedmed_desktop", "json", "pydantic"]):
        from tests.parts.fuzz_targets import TARGETS

    target = TARGETS[name]

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        """Goes back to what honest sides write now and then; most changes leave the syntax and checksums whole."""
        rng = random.Random(seed)
        if rng.random() < _FROM_HONEST:
            data = rng.choice(target.seeds)
        if target.change is None or rng.random() > _OF_VALUES:
            return bytes(atheris.Mutate(data, most))
        for _ in range(rng.randrange(1, 4)):
            data = target.change(data, rng) or data
        return data[:most]

    for number, seed in enumerate(target.seeds):
        (folder / f"seed {number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, str(folder)], target.read, custom_mutator=mutated)
    atheris.Fuzz()
    return 0


def run_made(name: str, minutes: float) -> int:
    """The same without atheris, as long as time lasts."""
    from hypothesis import HealthCheck, given, settings

    from tests.parts.fuzz_inputs import made
    from tests.parts.fuzz_targets import TARGETS

    target, until, count = TARGETS[name], time.monotonic() + minutes * 60, 0

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(made(target.seeds))
    def read(data: bytes) -> None:
        nonlocal count
        count += 1
        target.read(data)

    while time.monotonic() < until:
        read()
    sys.stdout.write(f"inputs: {count}\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
