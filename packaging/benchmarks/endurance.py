# SPDX-License-Identifier: Apache-2.0
"""Endurance: hundreds of rounds, and a thousand sites at once, over TLS. What the coordinator holds, and for how long.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/endurance.py rounds [--rounds 500] [--sites 4]
    PYTHONPATH=. .venv/bin/python packaging/benchmarks/endurance.py sites [--sites 1000] [--kibibytes 64]

The coordinator is a process of its own, started by the command line; sites join with invitations. With `rounds`, all
sites are agents in one other process (agents.py): memory, file handles, threads and asyncio tasks are looked at every
50 rounds, and what ledger, registry and audit chain have on disk. With `sites`, two processes speak the protocol by
hand for all of them (crowd.py): memory before any has come and while all are idle, then one round with all of them and
the closing evaluation, while the one site of a third process sends pings.

Prints JSON; `--check` gives status 1 where a bound is missed. Linux only: processes are looked at in /proc.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from raw_lines import Process, stopped
from rounds import FINGERPRINT, LORA, start
from watched import Watched

from fedmed_desktop.federation import FederationSpec, TrainingSettings, dump_spec
from fedmed_desktop.federation.spec import BaseModelSpec, RoundSettings
from fedmed_desktop.identity import fingerprint
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.storage import BlobStore, Ledger
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.secrets import public_key

HERE: Final = Path(__file__).resolve().parent
EVERY: Final = 50
FIRST: Final = 100
MOST_GROWTH, MOST_IDLE, MOST_PING = 0.05, 100 * 1024, 0.25
SIDE: Final = 512  # of an adapted matrix: one in rank 16 is 64 KiB


def main() -> int:
    options = arguments()
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"  # no secret of a benchmark in a real one
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        result = (many_rounds if options.what == "rounds" else many_sites)(Path(folder), options)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()}
    sys.stdout.write(json.dumps({"benchmark": f"endurance {options.what}", **machine, **result}, indent=1) + "\n")
    return 0 if result["good"] or not options.check else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rounds", "sites"])
    parser.add_argument("--rounds", type=int, default=500, metavar="N", help="of `rounds` (500)")
    parser.add_argument("--sites", type=int, default=0, metavar="N", help="(4 for `rounds`, 1000 for `sites`)")
    parser.add_argument("--kibibytes", type=int, default=64, metavar="N", help="size of the adapter of `sites` (64)")
    parser.add_argument("--check", action="store_true", help="status 1 where a bound is missed")
    options = parser.parse_args()
    options.sites = options.sites or (1000 if options.what == "sites" else 4)
    return options


def founded(folder: Path, initial: Adapter, sites: int, rounds: int) -> FederationSpec:
    """Writes the specification and the first adapter where the coordinator looks for them."""
    spec = FederationSpec(
        name="Endurance",
        types=("drug",),
        rounds=rounds,
        base=BaseModelSpec(fingerprint=FINGERPRINT, initial=initial.sha256, modules=dict(initial.shapes)),
        combine="factors",
        lora=LORA,
        training=TrainingSettings(steps=4),
        round=RoundSettings(sites=sites, quorum=sites),
    )
    (folder / "federation.toml").write_text(dump_spec(spec))
    BlobStore(folder / "coordinator" / "blobs").write(initial.to_blob())
    return spec


def coordinator(folder: Path) -> tuple[Watched, int]:
    """The coordinator's process once it listens, and its port."""
    data = folder / "coordinator"
    at = ("--host", "127.0.0.1", "--port", "0", "--tls", "--log-level", "warning")
    command = ("--coordinator", "--config", str(folder / "federation.toml"), "--data-dir", str(data), *at)
    process = Watched(str(HERE / "watched.py"), *command)
    line = process.until("wss://127.0.0.1:")
    process.until("Sites join with an invitation")
    return process, int(line.partition("127.0.0.1:")[2].partition(",")[0])


def invited(folder: Path, port: int, sites: int) -> list[Invitation]:
    """Invitations for so many sites, made while the coordinator runs."""
    data = folder / "coordinator"
    key, registry = public_key(data), Registry(data / REGISTRY_FILE)
    assert key is not None
    names = [f"Hospital {number:04}" for number in range(sites)]
    now = datetime.now(UTC)
    codes = [registry.invite(name, timedelta(days=1), now, "benchmark") for name in names]
    registry.close()
    return [
        Invitation(f"127.0.0.1:{port}", fingerprint(key), code, name) for name, code in zip(names, codes, strict=True)
    ]


def on_disk(data: Path) -> dict[str, int]:
    """Bytes in files of ledger, registry and audit chain, their journals among them, and in all blobs."""
    sizes = {}
    for name in ("coordinator", "registry", "audit"):
        sizes[name] = sum(file.stat().st_size for file in data.glob(f"{name}.sqlite*"))
    sizes["blobs"] = sum(file.stat().st_size for file in (data / "blobs").rglob("*") if file.is_file())
    return sizes


# -- many rounds -------------------------------------------------------------------------------------------------------


def many_rounds(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    spec = founded(folder, start(0), options.sites, options.rounds)
    seen: dict[int, dict[str, Any]] = {}
    process, port = coordinator(folder)
    with stopped([process]) as processes:
        lines = [one.line() for one in invited(folder, port, options.sites)]
        (folder / "invitations").write_text("\n".join(lines))
        began = time.monotonic()
        sites = Watched(str(HERE / "agents.py"), str(folder))
        processes.append(sites)
        for number in range(EVERY, options.rounds + 1, EVERY):
            sites.until(f"round {number} of")
            disk = on_disk(folder / "coordinator")
            seen[number] = {"seconds": round(time.monotonic() - began, 1), "coordinator": process.asked()}
            seen[number] |= {"sites": sites.holds(), "disk": disk}
        sites.until("finished")
    ledger = Ledger(folder / "coordinator" / "coordinator.sqlite", spec, lambda fault: None, True)
    began = time.monotonic()
    history = ledger.load_rounds(spec).state.history
    loading = time.monotonic() - began
    ledger.close()
    first, last = (seen[number]["coordinator"] for number in (min(FIRST, max(seen)), max(seen)))
    each = [(one.closed - one.opened).total_seconds() for one in history]
    growth = last["bytes"] / first["bytes"] - 1
    good = growth <= MOST_GROWTH and all(last[one] <= first[one] + 2 for one in ("files", "tasks"))  # they come and go
    return {
        "good": good and last["threads"] <= first["threads"],
        "growth": round(growth, 4),
        "round_seconds": {"first 50": _median(each[:50]), "last 50": _median(each[-50:])},
        "ledger_loads_in": round(loading, 2),
        "seen": seen,
    }


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 4)


# -- many sites --------------------------------------------------------------------------------------------------------


def many_sites(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    modules = max(1, options.kibibytes // 64)
    initial = Adapter.initial({f"layers.{n}": (SIDE, SIDE) for n in range(modules)}, LORA.rank, LORA.scale, seed=0)
    spec = founded(folder, initial, options.sites, 1)
    process, port = coordinator(folder)
    with stopped([process]) as processes:
        began = time.monotonic()
        lines = [one.line() for one in invited(folder, port, options.sites)]
        seconds = {"invitations": time.monotonic() - began}
        time.sleep(2)  # the coordinator reads them
        empty = process.asked()
        crowds = [(f"crowd {n}", lines[1 + n : -1 : 2], ()) for n in range(2)]
        crowds.append(("pulse", lines[:1], ("--pings",)))
        began = time.monotonic()
        clients = [crowd(folder, *one) for one in crowds]
        processes += clients
        for client in clients:
            client.until("joined")
        seconds["joins"] = time.monotonic() - began
        time.sleep(5)
        idle = process.asked()
        busy = cpu_of(process, 10.0)
        began = time.monotonic()
        clients.append(crowd(folder, "last", lines[-1:], ()))
        processes.append(clients[-1])
        for client in clients:
            client.until("finished")
        seconds["round and evaluation"] = time.monotonic() - began
        after = process.asked()
        peak = process.memory("VmHWM")
        taken = json.loads(clients[2].until("pings ").removeprefix("pings "))
    ledger = Ledger(folder / "coordinator" / "coordinator.sqlite", spec, lambda fault: None, True)
    (record,) = ledger.load_rounds(spec).state.history
    ledger.close()
    each = (idle["bytes"] - empty["bytes"]) / (options.sites - 1)
    closes = last_update(folder / "coordinator" / "coordinator.sqlite")
    ping = {
        "round": lengths(taken, record.opened.timestamp(), closes),
        "combining": lengths(taken, closes, record.closed.timestamp()),
        "evaluation": lengths(taken, record.closed.timestamp(), math.inf),
    }
    good = each <= MOST_IDLE and ping["combining"]["p99"] <= MOST_PING and len(record.sites) == options.sites
    return {
        "good": good,
        "bytes_for_an_idle_site": round(each),
        "processor_while_idle": round(busy, 3),
        "seconds": {name: round(one, 2) for name, one in seconds.items()},
        "round_seconds": round((record.closed - record.opened).total_seconds(), 2),
        "combining_seconds": round(record.closed.timestamp() - closes, 2),
        "pings": ping,
        "empty": empty,
        "idle": idle,
        "after": after,
        "peak_bytes": peak,
        "disk": on_disk(folder / "coordinator"),
    }


def crowd(folder: Path, name: str, lines: list[str], options: tuple[str, ...]) -> Watched:
    file = folder / name
    file.write_text("\n".join(lines))
    return Watched(str(HERE / "crowd.py"), str(file), *options)


def cpu_of(process: Process, seconds: float) -> float:
    """Share of a core that a process takes."""
    before = process.cpu()
    time.sleep(seconds)
    return (process.cpu() - before) / seconds


def last_update(ledger: Path) -> float:
    """Time at which the last update of round one reached the ledger: combining begins then."""
    with closing(sqlite3.connect(ledger)) as file:
        rows = file.execute("SELECT time, json_extract(body, '$.input') FROM inputs ORDER BY seq").fetchall()
    kinds = [kind for _, kind in rows]
    return datetime.fromisoformat(rows[kinds.index("combined") - 1][0]).timestamp()


def lengths(taken: list[list[float]], begins: float, ends: float) -> dict[str, float]:
    """Seconds of the pings that were under way at any time in between."""
    found = sorted(length for began, length in taken if began < ends and began + length > begins)
    if not found:
        return {"pings": 0, "p99": math.inf}
    p99 = found[min(len(found) - 1, math.ceil(0.99 * len(found)) - 1)]
    return {"pings": len(found), "median": _median(found), "p99": round(p99, 4), "worst": round(found[-1], 4)}


if __name__ == "__main__":
    sys.exit(main())
