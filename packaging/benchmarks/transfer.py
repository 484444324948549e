# SPDX-License-Identifier: Apache-2.0
"""Updates in fewer bits: what packing loses of real updates, how large they are for an 8B model, and how fast it goes.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/transfer.py [--updates FOLDER] [--blocks 64,128] [--check]

Real updates: three sites train the bundled model on the bundled notes for three rounds (lab experiment "transfer", its
first tuning seed, losses alone); FOLDER keeps them, so that a second run only packs. The error of an update is
|delta W as decoded - delta W as trained| / |delta W as trained - delta W of the start|. Code books of 16 levels beside
the one in use: "uniform" (15 even steps) and "halves" (quantiles of a normal distribution, as NF4, but with both sides
alike). The way down: what rounding takes of each round's movement where the three sites' updates are averaged, or their
products, and the result is fetched as a difference, with feedback (federation.way_down).

The 8B shape, in blocks of the first size, is Llama-3.1-8B's with rank 16 on its seven linears; its values are random.
Prints three tables and JSON; `--check` ends with status 1 where 4 bits need 0.2 % of the full model or more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedmed_desktop.federation import LocalResult
from fedmed_desktop.federation.combine import COMBINERS, Combining, Goal, Term
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.federation.way_down import rounded
from fedmed_desktop.lab.cell import BaseFacts, CellRun
from fedmed_desktop.lab.cells import cells
from fedmed_desktop.lab.corpora import read_corpora
from fedmed_desktop.lab.engines import SiteJob
from fedmed_desktop.lab.engines.local import LocalEngine
from fedmed_desktop.lab.experiment import load_experiment
from fedmed_desktop.lora import Adapter, Module, algebra, blocks
from fedmed_desktop.lora.blocks import LEVELS, Packed
from fedmed_desktop.lora.quantised import PackedReader, Packing, packed
from fedmed_desktop.resources import resource

BOTH: Final = ("A", "B")
DTYPES: Final[tuple[Packed, ...]] = ("bfloat16", "int8", "int4")
_HALF: Final = np.abs(np.float32(LEVELS[:7]))
BOOKS: Final[dict[str, Sequence[float]]] = {
    "in use": LEVELS,
    "uniform": np.concatenate([np.arange(-7, 8) / 7, [1.0]]).astype(np.float32).tolist(),
    "halves": np.concatenate([-_HALF, [0.0], _HALF[::-1], [1.0]]).astype(np.float32).tolist(),
}
# Llama-3.1-8B: 32 layers, and 8,030,261,248 parameters in 2 bytes each.
FULL_BYTES: Final = 2 * 8_030_261_248
LINEARS: Final = {
    "self_attn.q_proj": (4096, 4096), "self_attn.k_proj": (1024, 4096), "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096), "mlp.gate_proj": (14336, 4096), "mlp.up_proj": (14336, 4096),
    "mlp.down_proj": (4096, 14336),
}  # fmt: skip
LAYERS, RANK = 32, 16
AIM: Final = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=Path, metavar="FOLDER", help="folder of real updates (a new one each time)")
    parser.add_argument("--blocks", default="64", help="block sizes, such as 32,64,128 (64)")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of the 8B shape, to need less memory (32)")
    parser.add_argument("--check", action="store_true", help="status 1 where the aim is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as new:
        folder = options.updates or Path(new)
        if not list(folder.glob("*.trained")):
            train(folder)
        pairs = [(_read(path.with_suffix(".start")), _read(path)) for path in sorted(folder.glob("*.trained"))]
        rounds = rounds_of(folder)
    sizes = [int(size) for size in options.blocks.split(",")]
    errors = [row for size in sizes for row in lost(pairs, size)]
    down = [row for combine in COMBINERS if combine != "stack" for row in down_of(rounds, combine, sizes[0])]
    shape = [large(dtype, sizes[0], options.layers) for dtype in DTYPES]
    print(_table(errors), "", _table(down), "", _table(shape), sep="\n")
    result = {"benchmark": "transfer", "load": os.getloadavg()[0], "updates": len(pairs)}
    print(json.dumps(result | {"errors": errors, "way_down": down, "llama_3_1_8b": shape}, indent=1))
    return 0 if shape[-1]["share_percent"] < AIM or not options.check else 1


class Recording(LocalEngine):
    """Keeps what each training started with and came to."""

    folder: Path

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        results = super().train(jobs)
        for job, result in zip(jobs, results, strict=True):
            name = f"round-{job.plan.round} {job.site}"
            (self.folder / f"{name}.start").write_bytes(job.given.start.to_blob())
            (self.folder / f"{name}.trained").write_bytes(result.blobs["adapter"])
        return results


def train(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    found = load_experiment(resource("experiments") / "transfer.toml")
    experiment = found.model_copy(update={"score_on": "loss", "methods": found.methods[:1], "baselines": ()})
    engine = Recording(experiment.model_folder, experiment.threads)
    engine.folder = folder
    base = BaseFacts.of(experiment.model_folder)
    run = CellRun(experiment, read_corpora(experiment, None), base, engine, tuning=True)
    run.run(cells(experiment, tuning=True)[0])


def lost(pairs: Sequence[tuple[Adapter, Adapter]], block: int) -> list[dict[str, Any]]:
    """Mean and largest error over the updates, and bytes for each of their parameters."""
    rows: list[dict[str, Any]] = []
    for dtype in DTYPES:
        for book in BOOKS if dtype == "int4" else ("",):
            errors, sizes = [], []
            for start, trained in pairs:
                sent, size = _sent(start, trained, Packing(dtype, block, "first"), BOOKS.get(book, LEVELS))
                errors.append(algebra.distance(sent, trained) / algebra.distance(trained, start))
                sizes.append(size / sum(module.A.size + module.B.size for module in trained.values()))
            rows.append(
                {
                    "dtype": dtype,
                    "block": block,
                    "book": book,
                    "mean_error_percent": round(100 * statistics.mean(errors), 4),
                    "largest_percent": round(100 * max(errors), 4),
                    "bytes_per_parameter": round(statistics.mean(sizes), 4),
                }
            )
    return rows


def rounds_of(folder: Path) -> list[tuple[Adapter, list[Adapter]]]:
    """Each round's start and what its sites trained, in order."""
    trained: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.trained")):
        trained.setdefault(path.name.split(" ")[0], []).append(path)
    return [(_read(paths[0].with_suffix(".start")), [_read(path) for path in paths]) for paths in trained.values()]


def down_of(rounds: Sequence[tuple[Adapter, list[Adapter]]], combine: Combining, block: int) -> list[dict[str, Any]]:
    """Share of each round's movement that rounding takes, and bytes of a difference beside those of the adapter."""
    rows: list[dict[str, Any]] = []
    for dtype in DTYPES:
        transfer = TransferSettings(dtype=dtype, block=block, down=True)
        held, lost, shares, sizes = rounds[0][0], None, [], []
        for _, trained in rounds:
            terms = [Term(one.sha256, 1 / len(trained), one) for one in trained]
            new = COMBINERS[combine](terms, Goal()).adapter
            found = rounded(new, held, lost, transfer, "first" if combine == "factors" else "best")
            held, lost = found.adapter, found.lost
            shares.append(round(100 * (found.share or 0.0), 3))
            sizes.append(found.difference.size / found.difference.whole if found.difference else 1.0)
        per_round = {f"round_{number}_percent": share for number, share in enumerate(shares, 1)}
        rows.append({"combine": combine, "dtype": dtype} | per_round | {"of_float32": round(statistics.mean(sizes), 4)})
    return rows


def _sent(start: Adapter, trained: Adapter, packing: Packing, levels: Sequence[float]) -> tuple[Adapter, int]:
    blob, adapter = packed(trained, start, packing, BOTH)
    if levels is LEVELS:
        return adapter, len(blob)
    modules = {}
    for name, module in trained.items():
        ends = (module.B, start[name].B), (module.A, start[name].A)
        b, a = (begun + _through(after - begun, packing, levels) for after, begun in ends)
        modules[name] = Module(b, a, module.scale)
    return Adapter(modules), len(blob)


def _through(change: NDArray[np.float32], packing: Packing, levels: Sequence[float]) -> NDArray[np.float32]:
    coded = blocks.encoded(change, packing.dtype, packing.block, levels)
    return blocks.decoded(coded, (change.shape[0], change.shape[1]), packing.dtype, packing.block, levels)


def large(dtype: Packed, block: int, layers: int) -> dict[str, Any]:
    """Size and speed for an 8B model; MB are of the float32 adapter, 10^6 bytes each."""
    rng = np.random.default_rng(1)

    def module(d: int, k: int) -> Module:
        b, a = (rng.standard_normal(shape, dtype=np.float32) * np.float32(1e-3) for shape in ((d, RANK), (RANK, k)))
        return Module(b, a, 2.0)

    names = [f"model.layers.{layer}.{linear}" for layer in range(layers) for linear in LINEARS]
    target = Adapter({name: module(*LINEARS[name.split(".", 3)[3]]) for name in names})
    start = target.map(lambda one: Module(np.zeros_like(one.B), np.zeros_like(one.A), one.scale))
    parameters = sum(one.A.size + one.B.size for one in target.values())
    packing = Packing(dtype, block, "first")
    began = time.perf_counter()
    blob, _ = packed(target, start, packing, BOTH)
    encoding = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "update"
        path.write_bytes(blob)
        began = time.perf_counter()
        with PackedReader(path, packing, BOTH, start) as reader:
            for name in reader.names:
                reader.module(name)
        decoding = time.perf_counter() - began
    return {
        "dtype": dtype,
        "parameters": parameters,
        "bytes": len(blob),
        "bytes_per_parameter": round(len(blob) / parameters, 4),
        "share_percent": round(100 * len(blob) / (FULL_BYTES * layers / LAYERS), 4),
        "encode_mb_s": round(4 * parameters / 1e6 / encoding),
        "decode_mb_s": round(4 * parameters / 1e6 / decoding),
    }


def _read(path: Path) -> Adapter:
    return Adapter.from_blob(path.read_bytes())


def _table(rows: list[dict[str, Any]]) -> str:
    widths = {key: max(len(key), 12) for key in rows[0]}
    lines = ["  ".join(f"{key:>{width}}" for key, width in widths.items())]
    return "\n".join(lines + ["  ".join(f"{row[key]:>{width}}" for key, width in widths.items()) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
