# SPDX-License-Identifier: Apache-2.0
"""Averaging adapters in product space: time and memory of ours for a whole model, and as a ratio to PEFT's.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/product_space.py [--layers N] [--sample q_proj,k_proj] [--check]

The whole: adapters of the given rank for all linears of an 8B Llama's shape (7 in each of 32 layers: 224) lie on disk
as blobs; a fresh process combines them to one blob. Its peak memory, beyond what it held once everything was imported,
is given in adapters: the bytes of one in float32.

The comparison: the sampled matrices of one layer, one by one and interleaved, by `combine_product` (from disk, on one
thread, in float64) and by `peft.LoraModel.add_weighted_adapter(combination_type="svd", svd_full_matrices=False)` (from
memory, on all of torch's threads, in float32), with the difference of the two delta W relative to their norm. The
sites' factors are a common start with deviations, as rounds leave them. PEFT holds each site's d x k at once, and takes
minutes for the larger matrices. Prints JSON; seconds are of this machine only. `--check` ends with status 1 where PEFT
is less than 100 times slower over the sample, the results differ by more than 1e-4, or the whole takes 4 adapters or
more.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from fedmed_desktop.federation.combine import Goal, Term, combine_product
from fedmed_desktop.lora import Adapter, BlobReader, Module, algebra
from fedmed_desktop.lora.module import ModuleSource

# (d, k) of each linear of one decoder block of an 8B Llama
LAYER: Final = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.k_proj": (1024, 4096),
    "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096),
    "mlp.gate_proj": (14336, 4096),
    "mlp.up_proj": (14336, 4096),
    "mlp.down_proj": (4096, 14336),
}
SCALE: Final = 4.0
DEVIATION: Final = 0.2  # of a site's factors from the common start, relative
LEAST_RATIO, MOST_DIFFERENCE, MOST_ADAPTERS = 100, 1e-4, 4


def main() -> int:
    options = arguments()
    if options.whole is not None:
        print(json.dumps(whole(options.whole, options.rank)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        shapes = {f"model.layers.{at}.{name}": shape for at in range(options.layers) for name, shape in LAYER.items()}
        sizes = [write(Path(folder), number, shapes, options.rank) for number in range(options.adapters)]
        command = [sys.executable, __file__, "--whole", folder, "--rank", str(options.rank)]
        told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        told["peak_in_adapters"] = round(told.pop("peak_bytes") / sizes[0], 2)
        compared = [compare(Path(folder), name, options.rank) for name in options.sample]
    ratio = sum(each["peft_seconds"] for each in compared) / sum(each["our_seconds"] for each in compared)
    difference = max(each["difference"] for each in compared)
    told |= {"adapters": options.adapters, "rank": options.rank, "matrices": len(shapes)}
    result = {"benchmark": "product_space", "whole": told, "sample": compared, "ratio": round(ratio, 1)}
    print(json.dumps(result | {"difference": difference}, indent=1))
    good = ratio >= LEAST_RATIO and difference <= MOST_DIFFERENCE and told["peak_in_adapters"] < MOST_ADAPTERS
    return 0 if good or not options.check else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=10, metavar="N", help="sites (10)")
    parser.add_argument("--rank", type=int, default=16, metavar="R", help="of each and of the result (16)")
    parser.add_argument("--layers", type=int, default=32, metavar="N", help="decoder blocks of the whole (32)")
    parser.add_argument(
        "--sample",
        type=lambda text: [next(name for name in LAYER if name.endswith(one)) for one in text.split(",")],
        default=["self_attn.k_proj", "self_attn.q_proj"],
        metavar="NAMES",
        help="matrices that PEFT averages too (k_proj,q_proj)",
    )
    parser.add_argument("--check", action="store_true", help="status 1 where a bound is missed")
    parser.add_argument("--whole", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write(folder: Path, number: int, shapes: Mapping[str, tuple[int, int]], rank: int) -> int:
    """One site's adapter as a blob; its size in bytes."""
    modules = {}
    for at, (name, (d, k)) in enumerate(shapes.items()):
        start, own = np.random.default_rng([0, at]), np.random.default_rng([1 + number, at])
        factors = []
        for shape in ((d, rank), (rank, k)):
            common = start.standard_normal(shape, dtype=np.float32)
            factors.append((common + DEVIATION * own.standard_normal(shape, dtype=np.float32)) / shape[0] ** 0.5)
        modules[name] = Module(factors[0], factors[1], SCALE)
    blob = Adapter(modules).to_blob()
    (folder / f"{number}.safetensors").write_bytes(blob)
    return len(blob)


def weights_of(count: int) -> list[float]:
    return [2 * (number + 1) / (count * (count + 1)) for number in range(count)]


def opened(folder: Path, readers: ExitStack) -> list[BlobReader]:
    paths = sorted(folder.glob("*.safetensors"), key=lambda path: int(path.stem))
    return [readers.enter_context(BlobReader(path)) for path in paths]


def whole(folder: Path, rank: int) -> dict[str, Any]:
    """Combines all that lies in the folder, in this process; seconds and bytes of peak memory beyond the imports."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with ExitStack() as readers:
        sources = opened(folder, readers)
        terms = [Term(str(at), w, s) for at, (w, s) in enumerate(zip(weights_of(len(sources)), sources, strict=True))]
        combination = combine_product(terms, Goal(rank=rank))
    combination.adapter.to_blob()
    seconds = time.perf_counter() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": round(seconds, 2), "peak_bytes": peak, "residual": combination.residual}


class One:
    """A single module of an adapter, under its own name."""

    def __init__(self, source: ModuleSource, name: str) -> None:
        self._source, self.names = source, (name,)

    def module(self, name: str) -> Module:
        return self._source.module(name)


def compare(folder: Path, linear: str, rank: int) -> dict[str, Any]:
    """One matrix of the first layer by both."""
    name = f"model.layers.0.{linear}"
    with ExitStack() as readers:
        sources = opened(folder, readers)
        weights = weights_of(len(sources))
        terms = [Term(str(at), w, One(s, name)) for at, (w, s) in enumerate(zip(weights, sources, strict=True))]
        began = time.perf_counter()
        ours = combine_product(terms, Goal(rank=rank)).adapter[name]
        our_seconds = time.perf_counter() - began
        theirs, peft_seconds = by_peft([source.module(name) for source in sources], weights, rank)
    difference = algebra.module_distance(ours, theirs) / algebra.module_norm(theirs)
    return {
        "matrix": linear,
        "our_seconds": round(our_seconds, 4),
        "peft_seconds": round(peft_seconds, 2),
        "ratio": round(peft_seconds / our_seconds, 1),
        "difference": difference,
    }


def by_peft(modules: list[Module], weights: list[float], rank: int) -> tuple[Module, float]:
    """PEFT's weighted adapter of one linear layer, and the seconds that making it took."""
    import torch
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    d, k = modules[0].shape
    base = torch.nn.Module()
    base.linear = torch.nn.utils.skip_init(torch.nn.Linear, k, d, bias=False)
    names = [f"site{number}" for number in range(len(modules))]
    config = LoraConfig(r=rank, lora_alpha=rank * SCALE, target_modules=["linear"], init_lora_weights=False)
    model: Any = LoraModel(base, {names[0]: config}, names[0])
    for name in names[1:]:
        model.peft_config[name] = config
        model.inject_adapter(base, name)
    layer: Any = base.linear
    with torch.no_grad():
        for name, module in zip(names, modules, strict=True):
            layer.lora_A[name].weight.copy_(torch.from_numpy(module.A.copy()))
            layer.lora_B[name].weight.copy_(torch.from_numpy(module.B.copy()))
    began = time.perf_counter()
    model.add_weighted_adapter(names, weights, "mean", combination_type="svd", svd_rank=rank, svd_full_matrices=False)
    seconds = time.perf_counter() - began
    a, b = layer.lora_A["mean"].weight, layer.lora_B["mean"].weight
    return Module(b.detach().numpy(), a.detach().numpy(), float(layer.scaling["mean"])), seconds


if __name__ == "__main__":
    sys.exit(main())
