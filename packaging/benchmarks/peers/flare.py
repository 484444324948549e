# SPDX-License-Identifier: Apache-2.0
"""Rounds of NVIDIA FLARE over loopback: the peer of rounds.py, run in an environment of FLARE's own.

    python3 -m venv VENV && VENV/bin/pip install nvflare numpy
    VENV/bin/python packaging/benchmarks/peers/flare.py [--mebibytes N] [--sites N] [--rounds N]

FLARE's own proof-of-concept deployment (`PocEnv`: a server and a client for each site, with TLS and a process for each
job) and its federated mean of numpy arrays (`NumpyFedAvgRecipe`). The server sends one float32 array, each site sends
it back with every value moved. Seconds of a round are those between two arrivals of the array at the first site, so
they hold one whole round. CPU seconds are those of all processes for the job, divided by its rounds. Prints JSON. Linux
only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from processes import Watch

SITE = """
import sys, time
import nvflare.client as flare

flare.init()
name = flare.get_site_name()
while flare.is_running():
    model = flare.receive()
    if model is None:
        break
    with open(f"{sys.argv[1]}/{name}", "a") as file:
        file.write(f"{time.time()}\\n")
    params = {key: value + 0.01 for key, value in model.params.items()}
    flare.send(flare.FLModel(params=params, metrics={"accuracy": 0.0}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="peer-flare-") as folder:
        told = {name: run(Path(folder), options, size) for name, size in (("whole", options.mebibytes), ("empty", 0))}
    shape = {"sites": options.sites, "mebibytes": options.mebibytes, "rounds": options.rounds}
    print(json.dumps({"benchmark": "flare", **shape, "load": os.getloadavg()[0], **told}, indent=1))
    return 0


def run(folder: Path, options: argparse.Namespace, mebibytes: int) -> dict[str, object]:
    place = folder / str(mebibytes)
    place.mkdir()
    os.environ["NVFLARE_POC_WORKSPACE"] = str(place / "poc")
    import numpy as np
    from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
    from nvflare.recipe import PocEnv

    (place / "site.py").write_text(SITE)
    (place / "times").mkdir()
    np.save(place / "model.npy", np.zeros(max(1, mebibytes * 2**18), np.float32))
    recipe = NumpyFedAvgRecipe(
        name="rounds",
        initial_ckpt=str(place / "model.npy"),
        min_clients=options.sites,
        num_rounds=options.rounds,
        train_script=str(place / "site.py"),
        train_args=str(place / "times"),
    )
    watch = Watch(str(place))
    environment = PocEnv(num_clients=options.sites)
    began = time.perf_counter()
    try:
        job = recipe.execute(environment)
        idle = watch.total_cpu()
        server_idle = watch.peaks("server")
        status = str(job.get_status())
        result = str(job.get_result(timeout=400))
    finally:
        cpu = watch.total_cpu()
        watch.stop()
        environment.stop(clean_up=True)
    files = sorted((place / "times").iterdir())
    if not files:
        raise RuntimeError(f"no site was reached: {status}, {result}")
    arrivals = [float(line) for line in files[0].read_text().split()]
    each = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    return {
        "seconds": statistics.median(each),
        "each": each,
        "cpu": round((cpu - idle) / len(arrivals), 2),
        "whole_job_seconds": round(time.perf_counter() - began, 1),
        "idle_server_mebibytes": server_idle,
        "server_mebibytes": watch.peaks("server"),
    }


if __name__ == "__main__":
    sys.exit(main())
