# SPDX-License-Identifier: Apache-2.0
"""Rounds of Flower over loopback: the peer of rounds.py, run in an environment of Flower's own.

    python3 -m venv VENV && VENV/bin/pip install flwr numpy
    VENV/bin/python packaging/benchmarks/peers/flower.py [--mebibytes N] [--sites N] [--rounds N]

A SuperLink and a SuperNode for each site, without TLS and with what Flower does by itself: a process for each task. The
server app sends one float32 array to every node, each node sends it back with every value moved, and the server app
takes the mean. Seconds are of one round, from the sending to the mean, as the server app sees them. CPU seconds are
those of all processes for the whole job, divided by its rounds. Prints JSON. Linux only.
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

from processes import Watch

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "bench"
version = "1.0.0"
description = "One array, there and back"
license = "Apache-2.0"
dependencies = []

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "bench.server:app"
clientapp = "bench.client:app"

[tool.flwr.app.config]
mebibytes = 64
rounds = 3
sites = 4
report = ""
"""

SERVER = """
import json, time
import numpy as np
from flwr.common import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context) -> None:
    config = context.run_config
    array = np.zeros(max(1, int(config["mebibytes"]) * 2**18), np.float32)
    while len(nodes := list(grid.get_node_ids())) < int(config["sites"]):
        time.sleep(0.2)
    seconds = []
    for number in range(int(config["rounds"])):
        began = time.perf_counter()
        record = RecordDict({"arrays": ArrayRecord([array])})
        sent = [Message(content=record, dst_node_id=node, message_type="train", group_id=str(number)) for node in nodes]
        replies = list(grid.send_and_receive(sent))
        parts = [reply.content["arrays"].to_numpy_ndarrays()[0] for reply in replies if reply.has_content()]
        assert len(parts) == len(nodes), [reply.error for reply in replies if reply.has_error()]
        array = np.mean(parts, axis=0, dtype=np.float64).astype(np.float32)
        seconds.append(time.perf_counter() - began)
        with open(config["report"], "w") as file:
            json.dump(seconds, file)
"""

CLIENT = """
from flwr.clientapp import ClientApp
from flwr.common import ArrayRecord, Message, RecordDict

app = ClientApp()


@app.train()
def train(message: Message, context) -> Message:
    array = message.content["arrays"].to_numpy_ndarrays()[0] + 0.01
    return Message(content=RecordDict({"arrays": ArrayRecord([array])}), reply_to=message)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=39500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="peer-flower-") as folder:
        told = {name: run(Path(folder), options, size) for name, size in (("whole", options.mebibytes), ("empty", 0))}
    shape = {"sites": options.sites, "mebibytes": options.mebibytes, "rounds": options.rounds}
    print(json.dumps({"benchmark": "flower", **shape, "load": os.getloadavg()[0], **told}, indent=1))
    return 0


def run(folder: Path, options: argparse.Namespace, mebibytes: int) -> dict[str, object]:
    place = folder / str(mebibytes)
    (place / "app" / "bench").mkdir(parents=True)
    for name, text in (("__init__", ""), ("server", SERVER), ("client", CLIENT)):
        (place / "app" / "bench" / f"{name}.py").write_text(text)
    (place / "app" / "pyproject.toml").write_text(PROJECT)
    home = place / "home"
    home.mkdir()
    address = f"127.0.0.1:{options.port}"
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "{address}"\ninsecure = true\n'
    )
    bins = Path(sys.executable).parent
    environment = {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{bins}:{os.environ['PATH']}",
    }
    log = (place / "log").open("w")
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=place))
        return started[-1]

    watch = Watch(str(bins))
    try:
        start(str(bins / "flower-superlink"), "--insecure", "--host", "127.0.0.1", "--port", str(options.port))
        time.sleep(8)
        for number in range(options.sites):
            node = (str(bins / "flower-supernode"), "--insecure", "--superlink", address)
            start(*node, "--port", str(options.port + 1 + number))
        time.sleep(10)
        idle = {"superlink": watch.peaks("flower-superlink"), "cpu": watch.total_cpu()}
        report = place / "report.json"
        config = f'mebibytes={mebibytes} rounds={options.rounds} sites={options.sites} report="{report}"'
        done = start(str(bins / "flwr"), "run", str(place / "app"), "bench", "--stream", "--run-config", config)
        done.wait(600)
        cpu = watch.total_cpu() - float(str(idle["cpu"]))
        if not report.exists():
            log.flush()
            raise RuntimeError((place / "log").read_text()[-6000:])
        seconds = json.loads(report.read_text())
    finally:
        watch.stop()
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        time.sleep(2)
    return {
        "seconds": statistics.median(seconds),
        "each": seconds,
        "cpu": round(cpu / len(seconds), 2),
        "superlink_mebibytes": watch.peaks("flower-superlink"),
        "idle_mebibytes": idle["superlink"],
        "server_app_mebibytes": watch.peaks("serverapp"),
    }


if __name__ == "__main__":
    sys.exit(main())
