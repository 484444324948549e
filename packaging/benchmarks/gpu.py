# SPDX-License-Identifier: Apache-2.0
"""All that needs a CUDA device, in one call of at most ten minutes: tests, fit, training steps, reading.

    .venv/bin/python packaging/benchmarks/gpu.py [--minutes 10] [--out results/gpu-<device>.json]

Each part is a process of its own with its own bound of time; what fails or takes too long is written down, and the rest
goes on. Weights are random, in the shapes of Llama 3.2 1B and Llama 3.1 8B. Speeds here are absolute, so the file names
the device. Without one it says so and ends with status 2.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


@dataclass(frozen=True)
class Part:
    """A program with its arguments, and the seconds that it may take."""

    name: str
    words: tuple[str, ...]
    seconds: int


STEP: Final = ("training_step.py", "--device", "cuda", "--runs", "1", "--steps", "8", "--batch", "4", "--tokens", "800")
PARTS: Final = (
    Part("tests", ("-m", "pytest", "-q", "-m", "gpu", "tests/gpu"), 120),
    Part("8B in 4 bits within 12 GiB", ("fit.py", "--shape", "8B", "--nf4", "--gib", "12"), 90),
    Part("1B within 4 GiB", ("fit.py", "--shape", "1B", "--gib", "4"), 60),
    Part("steps of 1B", (*STEP, "--shape", "1B"), 120),
    Part("steps of 8B", (*STEP, "--shape", "8B"), 150),
    Part("steps of 8B in 4 bits", (*STEP, "--shape", "8B", "--nf4"), 180),
    Part("reading", ("generation.py", "--device", "cuda", "--runs", "2"), 120),
)


def main() -> int:
    options = arguments()
    name = device()
    if name is None:
        print("No CUDA device was found: nothing was measured.", file=sys.stderr)
        return 2
    ends = time.monotonic() + 60 * options.minutes
    found: dict[str, Any] = {"device": name}
    out = options.out or HERE / "results" / f"gpu-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    for part in PARTS:
        found[part.name] = outcome(part, min(part.seconds, ends - time.monotonic()))
        print(part.name, json.dumps(found[part.name])[:300], flush=True)
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")  # what there is survives a cut
    return 0 if all(one["status"] == 0 for one in found.values() if isinstance(one, dict)) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def device() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def outcome(part: Part, seconds: float) -> dict[str, Any]:
    """Status, seconds, and the JSON that the program printed; its last lines where it failed."""
    if seconds < 5:
        return {"status": "no time was left"}
    words = [str(HERE / word) if word.endswith(".py") else word for word in part.words]
    began = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"status": "took too long", "seconds": round(seconds)}
    told: dict[str, Any] = {"status": done.returncode, "seconds": round(time.monotonic() - began, 1)}
    begin, end = done.stdout.find("{"), done.stdout.rfind("}")
    try:
        told["found"] = json.loads(done.stdout[begin : end + 1])
    except ValueError:
        told["said"] = done.stdout[-1500:]
    return told | ({"errors": done.stderr[-1500:]} if done.returncode else {})


if __name__ == "__main__":
    sys.exit(main())
