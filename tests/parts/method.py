# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of methods: adapters, the end of a round, and what a method plans, without sites or disks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedmed_desktop.federation import FederationSpec, Part, Report, Update
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.aggregation import combine
from fedmed_desktop.federation.combine import Combination, Sources
from fedmed_desktop.federation.drift import measure_drift
from fedmed_desktop.federation.methods import METHODS, Opening
from fedmed_desktop.federation.methods.method import MethodState
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.spec import ShareSettings
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.module import Factor
from tests.parts.federation import INITIAL, LORA, SHAPES, moved, small_spec

SITES = "ABC"
NOTES = {"A": 10, "B": 30, "C": 60}
SHARES = {"A": 0.1, "B": 0.3, "C": 0.6}
START = moved(INITIAL, 99, 0.3)


def adapter(seed: int, rank: int, scale: float = LORA.scale) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(
        {name: Module(rng.normal(size=(d, rank)), rng.normal(size=(rank, k)), scale) for name, (d, k) in SHAPES.items()}
    )


def trained(rank: int = LORA.rank) -> dict[str, Adapter]:
    return {site: adapter(seed, rank) for seed, site in enumerate(SITES)}


MIXED = {"A": adapter(1, 4), "B": adapter(2, 2), "C": adapter(3, 7)}


def spec_of(method: str, parameters: Mapping[str, object] | None = None, **changes: object) -> FederationSpec:
    one = METHODS[method].model_validate({"name": method, **(parameters or {})})
    return small_spec(method=one, share=ShareSettings(histogram="specialties"), **changes)


def closed(
    spec: FederationSpec,
    adapters: Mapping[str, Adapter],
    reports: Mapping[str, Report] | None = None,
    start: Adapter = START,
    frozen: Adapter | None = None,
    control: Adapter | None = None,
    controls: Mapping[str, Adapter] | None = None,
    sites: str = SITES,
    number: int = 1,
    ranks: Mapping[str, int] | None = None,
    method_state: MethodState | None = None,
    freeze: tuple[Factor, ...] = (),
    plans: Mapping[str, Plan] | None = None,
) -> Combination:
    """The end of a round in which these sites gave these adapters, of all `sites`. `ranks` are those planned."""
    due = due_of(spec, adapters, reports, start, frozen, control, sites, number, ranks, method_state, freeze, plans)
    return combine(due, spec, Sources(start, adapters, frozen, control, controls or {}))


def due_of(
    spec: FederationSpec,
    adapters: Mapping[str, Adapter],
    reports: Mapping[str, Report] | None = None,
    start: Adapter = START,
    frozen: Adapter | None = None,
    control: Adapter | None = None,
    sites: str = SITES,
    number: int = 1,
    ranks: Mapping[str, int] | None = None,
    method_state: MethodState | None = None,
    freeze: tuple[Factor, ...] = (),
    plans: Mapping[str, Plan] | None = None,
) -> Combine:
    """The round that has closed, to be combined."""
    reports = reports or {site: Report(notes=NOTES[site], supervised_tokens=NOTES[site], steps=4) for site in adapters}
    weights = spec.method.weigh(reports)
    drifts, references = measure_drift(reports, weights, None)
    return Combine(
        round=number,
        rounds=spec.rounds,
        rank=spec.lora.rank,
        start=start.sha256,
        frozen=None if frozen is None else frozen.sha256,
        control=None if control is None else control.sha256,
        updates={
            site: Update(round=number, parts={"adapter": Part(sha256=one.sha256, size=1)}, report=reports[site])
            for site, one in adapters.items()
        },
        reports=reports,
        plans=plans
        or {
            site: Plan(round=number, start=start.sha256, rank=rank, training=spec.training, freeze=freeze, seed=0)
            for site, rank in (ranks or dict.fromkeys(adapters, spec.lora.rank)).items()
        },
        weights=weights,
        drifts=drifts,
        references=references,
        sites=len(sites),
        state=method_state or {},
    )


def opening(number: int = 1, **changes: object) -> Opening:
    values: dict[str, object] = {
        "round": number,
        "rounds": 3,
        "start": INITIAL.sha256,
        "rank": LORA.rank,
        "training": TrainingSettings(steps=1),
        "seeds": {"A": 1, "B": 2},
    }
    return Opening(**(values | changes))  # type: ignore[arg-type]


def full(module: Module) -> np.ndarray:
    return module.scale * (module.B.astype(np.float64) @ module.A.astype(np.float64))


def cut(dense: np.ndarray, rank: int) -> np.ndarray:
    """The best approximation of this rank."""
    u, sigma, vt = np.linalg.svd(dense)
    return np.asarray((u[:, :rank] * sigma[:rank]) @ vt[:rank])


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(found - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max()))
