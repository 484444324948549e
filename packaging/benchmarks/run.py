# SPDX-License-Identifier: Apache-2.0
"""The performance suite: each benchmark beside a named peer or a physical limit, in the same run.

    python3 packaging/bootstrap.py bench                     # all; results go to packaging/benchmarks/results
    python3 packaging/bootstrap.py bench training_step       # one, with its usual options
    python3 packaging/bootstrap.py bench training_step --shape 100M --runs 1     # or with yours; --help tells them

Ends with status 1 where an aim was missed or a benchmark failed. Nothing else should run meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
USUAL: Final[dict[str, list[list[str]]]] = {
    "startup": [["--keep", "--check"]],
    "training_step": [["--keep", "--check"], ["--shape", "100M", "--batch", "8", "--steps", "6", "--keep", "--check"]],
    "generation": [["--keep", "--check"]],
    "combining": [["--keep", "--check"]],
    "sending": [["--keep", "--check"]],
    "rounds": [["--keep", "--check"]],
    "ui_lateness": [["--keep"]],
}


def main() -> int:
    chosen, options = sys.argv[1:2], sys.argv[2:]
    if chosen and chosen[0] not in USUAL:
        print(f"There is no benchmark {chosen[0]!r}. There are: {', '.join(USUAL)}.", file=sys.stderr)
        return 2
    missed = []
    for name in chosen or USUAL:
        for own in [options] if options else USUAL[name]:
            words = " ".join([name, *own])
            print(f"\n== {words}", flush=True)
            if subprocess.run([sys.executable, HERE / f"{name}.py", *own], check=False).returncode:
                missed.append(words)
    if missed and options != ["--help"]:
        print(f"\nFailed, or missed an aim: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
