# SPDX-License-Identifier: Apache-2.0
"""Combining updates from disk, beside a large copy, sha256, numpy's mean and the formulas of Flower and PEFT.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/combining.py [--updates 2,10,100] [--runs N] [--keep] [--check]

The updates have the seven linears of one layer of an 8B Llama in rank 16, 5 MiB each; beyond 20 they are the same files
once more, under other names. Each figure is of a fresh process with one BLAS thread. Arms:

- `copy`: as many bytes copied within memory, and nothing else; the limit.
- `sha256`: as many bytes hashed, which every combination from disk does.
- `numpy`: numpy.mean over the mapped files in float64, module by module; neither weights, hashes nor checks.
- `flower`: its FedAvg as in flwr.serverapp's and flwr.server's aggregation: every update in memory, each times its
  number of examples, summed with reduce, divided by the total; float32, nothing hashed or checked.
- `factors`: ours, as the coordinator does it: read ahead and hashed in a second thread, each value checked, averaged in
  float64, and the residual. `factors unhashed` is the same from the same files without hashes.
- `product`: ours, up to --most-product updates, whose cost grows with the square of their number.
- `peft`: `add_weighted_adapter(combination_type="svd")` on one module of 1024 x 1024, beside `product` on the same.

Memory is the peak beyond what the process held once everything was imported. Prints tables and JSON; --keep writes
results/combining.json; --check ends with status 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial, reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
from arms import Case, Ratio, Told, in_turn

from fedmed_desktop.federation.combine import COMBINERS, Goal, Term
from fedmed_desktop.lora import Adapter, BlobReader, Module
from fedmed_desktop.storage.read_ahead import Ahead

RANK, SCALE = 16, 4.0
LINEARS: Final = {
    "self_attn.q_proj": (4096, 4096), "self_attn.k_proj": (1024, 4096), "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096), "mlp.gate_proj": (14336, 4096), "mlp.up_proj": (14336, 4096),
    "mlp.down_proj": (4096, 14336),
}  # fmt: skip
SIZE: Final = 4 * RANK * sum(d + k for d, k in LINEARS.values())  # bytes of an update
SMALL: Final = {"self_attn.q_proj": (1024, 1024)}
DIFFERENT: Final = 20  # files
COPIED: Final = 64 * 2**20  # bytes at a time: larger than any cache
AIMS: Final = [
    Ratio("factors unhashed", "copy", "GB per CPU second", least=0.8),
    Ratio("factors", "copy", "GB per CPU second"),
    Ratio("factors", "sha256", "GB per second", least=0.8),
    Ratio("factors", "numpy", "cpu"),
    Ratio("factors", "flower", "cpu"),
    Ratio("product", "numpy", "cpu"),
    Ratio("product", "peft", "cpu"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", default="2,10,100", help="numbers of updates (2,10,100)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each arm (3)")
    parser.add_argument("--most-product", type=int, default=10, metavar="N", help="updates combined by product (10)")
    parser.add_argument("--peft", action="store_true", help="PEFT's as well, which needs torch")
    parser.add_argument("--keep", action="store_true", help="write results/combining.json")
    parser.add_argument("--check", action="store_true", help="status 1 where an aim is missed")
    parser.add_argument("--one", nargs=3, metavar=("ARM", "FOLDER", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        json.dump(measured(options.one[0], Path(options.one[1]), int(options.one[2])), sys.stdout)
        return 0
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(DIFFERENT):
            write(Path(folder), number, LINEARS)
        for count in map(int, options.updates.split(",")):
            arms = ["copy", "sha256", "numpy", "factors", "factors unhashed"]
            arms += ["flower"] if count <= 100 else []
            arms += ["product"] if count <= options.most_product else []
            each = {arm: partial(fresh, arm, folder, count) for arm in arms}
            cases.append(in_turn(f"{count} updates", each, options.runs))
    if options.peft:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(2):
                write(Path(folder), number, SMALL)
            each = {arm: partial(fresh, arm, folder, 2) for arm in ("product", "peft")}
            cases.append(in_turn("2 updates of one 1024 x 1024", each, options.runs))
    settings = {"rank": RANK, "bytes of an update": SIZE, "runs": options.runs, "memory per update": growth(cases)}
    told = Told("combining", cases, AIMS, settings)
    told.show()
    if options.keep:
        told.keep()
    return 0 if told.good or not options.check else 1


def growth(cases: list[Case]) -> dict[str, float]:
    """Bytes of memory that each more update costs `factors`, between the two largest numbers of updates."""
    counted = [case for case in cases if "factors" in case.taken]
    if len(counted) < 2:
        return {}
    (few, low), (many, high) = (
        (int(case.name.split()[0]), case.median("factors", "MiB") * 2**20) for case in counted[-2:]
    )
    return {f"from {few} to {many}": round((high - low) / (many - few))}


def write(folder: Path, number: int, shapes: dict[str, tuple[int, int]]) -> None:
    rng, made = np.random.default_rng(number), {}
    for name, (d, k) in shapes.items():
        b, a = (rng.standard_normal(shape, dtype=np.float32) for shape in ((d, RANK), (RANK, k)))
        made[f"model.layers.0.{name}"] = Module(b, a, SCALE)
    (folder / f"{number:04}").write_bytes(Adapter(made).to_blob())


def fresh(arm: str, folder: str, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", arm, folder, str(count)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    told: dict[str, float] = json.loads(found.stdout)
    return told


def measured(arm: str, folder: Path, count: int) -> dict[str, float]:
    files = sorted(folder.iterdir())
    hashes = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in files]  # in the disk's cache now
    paths = [(files[at % len(files)], hashes[at % len(files)]) for at in range(count)]
    work = ARMS[arm](paths)  # with what it has to import
    before, began, used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    size = count * files[0].stat().st_size / 1e9
    rates = {"GB per second": size / seconds, "GB per CPU second": size / cpu}
    return {"seconds": seconds, "cpu": cpu, **rates, "MiB": peak / 2**20}


Paths = list[tuple[Path, str]]
Work = Callable[[], object]


def copying(paths: Paths) -> Work:
    source, target = (np.ones(COPIED, np.uint8) for _ in range(2))

    def work() -> None:
        left = sum(path.stat().st_size for path, _ in paths)
        while left > 0:
            now = min(left, COPIED)
            np.copyto(target[:now], source[:now])
            left -= now

    return work


def hashing(paths: Paths) -> Work:
    def work() -> None:
        for path, sha256 in paths:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                assert hashlib.sha256(data).hexdigest() == sha256

    return work


def combining(paths: Paths, way: str, hashed: bool) -> Work:
    def work() -> None:
        with ExitStack() as files, ThreadPoolExecutor(1) as reading:
            readers = [files.enter_context(BlobReader(path, sha256 if hashed else None)) for path, sha256 in paths]
            orders = [f"{at:06}" for at in range(len(paths))]
            sources = Ahead(readers, reading).sources
            terms = [Term(order, 1 / len(paths), one) for order, one in zip(orders, sources, strict=True)]
            COMBINERS["factors" if way == "factors" else "product"](terms, Goal(rank=RANK))

    return work


def numpy_mean(paths: Paths) -> Work:
    def work() -> list[Any]:
        start = paths[0][0].stat().st_size % SIZE  # the tensors are the end of the file
        maps = [np.memmap(path, np.float32, mode="r", offset=start) for path, _ in paths]
        step, found = SIZE // 4 // len(LINEARS), []
        for at in range(0, SIZE // 4, step):
            stacked = np.stack([one[at : at + step] for one in maps])
            found.append(stacked.mean(axis=0, dtype=np.float64).astype(np.float32))
        return found

    return work


def flower(paths: Paths) -> Work:
    def work() -> Any:
        start = paths[0][0].stat().st_size % SIZE
        results = [(np.fromfile(path, np.float32, offset=start), 100 + at) for at, (path, _) in enumerate(paths)]
        weighted = [[layer * examples for layer in np.array_split(one, len(LINEARS))] for one, examples in results]
        total = sum(examples for _, examples in results)
        return [reduce(np.add, layers) / total for layers in zip(*weighted, strict=True)]

    return work


def peft(paths: Paths) -> Work:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(1)
    base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(1024, 1024, bias=False)})
    config = LoraConfig(r=RANK, lora_alpha=int(SCALE * RANK), target_modules=["q_proj"])
    model = get_peft_model(base, config, adapter_name="0000")  # type: ignore[arg-type]
    names = [path.name for path, _ in paths]
    for name in names[1:]:
        model.add_adapter(name, config)
    layer = model.base_model.model["q_proj"]  # type: ignore[index,union-attr]
    for path, _ in paths:
        module = next(iter(Adapter.from_blob(path.read_bytes()).values()))
        layer.lora_A[path.name].weight.data = torch.tensor(module.A)
        layer.lora_B[path.name].weight.data = torch.tensor(module.B)
    weights = [1 / len(names)] * len(names)
    return partial(model.add_weighted_adapter, names, weights, "both", combination_type="svd", svd_rank=RANK)


ARMS: Final[dict[str, Callable[[Paths], Work]]] = {
    "copy": copying,
    "sha256": hashing,
    "numpy": numpy_mean,
    "flower": flower,
    "factors": partial(combining, way="factors", hashed=True),
    "factors unhashed": partial(combining, way="factors", hashed=False),
    "product": partial(combining, way="product", hashed=True),
    "peft": peft,
}


if __name__ == "__main__":
    sys.exit(main())
