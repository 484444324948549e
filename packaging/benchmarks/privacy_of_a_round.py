# SPDX-License-Identifier: Apache-2.0
"""Cost of privacy in one round of one site, with the demonstration's settings: CPU seconds of the probes beside those
of the rest, and what noise of some lengths does to the update.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/privacy_of_a_round.py [METHOD]

Takes some minutes of a core. All seconds are CPU seconds of this process (one thread); seeds are fixed. The clocks of
training and probes count them too, so that the probes get the time that they would have on an idle computer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from fedmed_desktop.demo.federation import demo_sites, demo_spec
from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.events import PhaseChanged
from fedmed_desktop.federation import Control, Given
from fedmed_desktop.federation.methods import Opening
from fedmed_desktop.federation.probes import Probing
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.half import open_update
from fedmed_desktop.lora.module import Factor
from fedmed_desktop.training import job, loop
from fedmed_desktop.training.preparation import LoadedBase, trainer_factory
from fedmed_desktop.training.probes import budget, reader
from fedmed_desktop.training.probes.site import SiteProbes

TIMES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 40.0)


class Stopwatch:
    """CPU seconds of this process by what went on."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._now, self._since = "preparing", time.process_time()

    def enter(self, what: str) -> None:
        now = time.process_time()
        self.spent[self._now] += now - self._since
        self._now, self._since = what, now

    def __call__(self, event: Any) -> None:
        if isinstance(event, PhaseChanged):
            self.enter(event.phase)


class CpuClock:
    """The module `time`, with this process's CPU seconds for those of the clock."""

    monotonic = staticmethod(time.process_time)
    perf_counter = staticmethod(time.process_time)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def main() -> None:
    for module in (budget, reader, loop, job):
        if hasattr(module, "time"):
            module.time = CpuClock()  # type: ignore[attr-defined]
    options = DemoOptions(method=sys.argv[1] if len(sys.argv) > 1 else "fed_medlora")
    sites = demo_sites(options)
    spec, start = demo_spec(options, sites)
    opening = Opening(1, spec.rounds, start.sha256, spec.lora.rank, spec.training, {"": spec.site_seed("site", 1)})
    plan, site = spec.method.plan(opening)[""], sites[0]
    base = LoadedBase(options.model, threads=1)
    watch = Stopwatch()
    found = SiteProbes.found

    def timed(*given: Any) -> Any:
        watch.enter("probes")
        try:
            return found(*given)
        finally:
            watch.enter("measuring")

    trainer = trainer_factory(base, site.name, site.notes, site.folder, probing=Probing)(spec)
    with tempfile.TemporaryDirectory() as folder:
        SiteProbes.found = timed  # type: ignore[method-assign]
        result = trainer.train_round(plan, Given(start), Path(folder), watch, Control())
    watch.enter("end")
    whole = sum(watch.spent.values())
    for what, seconds in watch.spent.items():
        print(f"{what}: {seconds:.1f} s, {100 * seconds / whole:.1f} %")
    print(f"probes / training: {watch.spent['probes'] / watch.spent['training']:.3f}")
    print(f"probes: {result.evidence.probes}")

    losses = trainer_factory(base, site.name, site.notes, site.folder)(spec.model_copy(update={"score_on": "loss"}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "update"
        path.write_bytes(result.blobs["adapter"])
        with open_update(path, plan.shared, start) as update:
            after = Adapter({name: update.module(name) for name in update.names})
    print(f"before the round: loss {losses.measure(plan, Given(start), 'validation', Control()).loss:.4f}")
    for times in TIMES:
        noised, length = with_noise(start, after, times, plan.shared)
        loss = losses.measure(plan, Given(noised), "validation", Control()).loss
        print(f"noise {times:g} times as long as the update ({length:.3f}): loss {loss:.4f}")


def with_noise(
    start: Adapter, after: Adapter, times: float, shared: tuple[Factor, ...], seed: int = 0
) -> tuple[Adapter, float]:
    """The adapter with noise in a random direction over all values that are shared, and the update's length there."""
    rng = np.random.default_rng(seed)
    places = [(name, factor) for name in sorted(after) for factor in shared]
    changes = [getattr(after[name], factor).astype(float) - getattr(start[name], factor) for name, factor in places]
    length = float(np.sqrt(sum(np.sum(change**2) for change in changes)))
    noises = {place: rng.standard_normal(change.shape) for place, change in zip(places, changes, strict=True)}
    scale = times * length / float(np.sqrt(sum(np.sum(noise**2) for noise in noises.values())))
    modules = {}
    for name in sorted(after):
        b, a = (
            (getattr(after[name], factor) + scale * noises.get((name, factor), 0.0)).astype(np.float32)
            for factor in ("B", "A")
        )
        modules[name] = Module(b, a, after[name].scale)
    return Adapter(modules), length


if __name__ == "__main__":
    main()
