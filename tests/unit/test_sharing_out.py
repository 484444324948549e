# SPDX-License-Identifier: Apache-2.0
"""How a step's micro-batches are shared out over processes, and that the shares' gradients add up to the step's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.objectives import Orthogonal
from tests.parts.told import told_as
from tests.parts.training import NOTES, TYPES, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, collate
    from fedmed_desktop.training.gradients import (
        Work,
        _flat,
        _take,
        accumulate,
        lend_factors,
        order,
        share_of,
        shared_out,
    )
    from fedmed_desktop.training.objectives import Penalties
    from fedmed_desktop.training.place import Place, place_of
    from fedmed_desktop.training.processes import Lost, Processes


def test_that_every_micro_batch_is_somebodys_and_the_loads_are_even() -> None:
    sizes = [800, 100, 700, 90, 300, 500, 80]
    shares = shared_out(sizes, 3)
    assert sorted(number for share in shares for number in share) == list(range(7))
    loads = [sum(sizes[number] for number in share) for share in shares]
    assert max(loads) - min(loads) <= 100
    assert shared_out(sizes, 3) == shares
    assert shared_out([5], 3) == [[0], [], []]
    assert shared_out(sizes, 1) == [[0, 2, 5, 4, 1, 3, 6]]


def test_that_the_gradients_of_all_shares_add_up_to_those_of_the_step(
    base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    base.lora.attach(random_adapter(shapes, 4, 1), personal=random_adapter(shapes, 2, 2))
    trained = base.lora.trained()
    penalties = Penalties(base.lora, (Orthogonal(weight=0.5, on="outputs", rank=2),), {})
    items = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200).items[:7]

    def work(rows: int) -> Work:
        batches = [collate(items[i : i + rows], "answer", torch.device("cpu")) for i in range(0, 7, rows)]
        return Work(batches, sum(len(batch.labels) for batch in batches), sum(map(len, items)), 8.0)

    loss = accumulate(base, work(7), penalties, lambda: None)
    whole = _flat(trained)
    small = work(2)
    values, tensors = order(small, shared_out([batch.tokens.numel() for batch in small.batches], 3), penalties.watches)
    sums, losses = torch.zeros_like(whole), 0.0
    for rank in range(3):
        losses += accumulate(base, share_of(rank, values, tensors), penalties, lambda: None)
        sums += _flat(trained)
    assert values["penalised"] and losses == pytest.approx(loss, rel=1e-6)
    assert torch.allclose(sums[: -len(trained)], whole[: -len(trained)], atol=1e-6) and whole.abs().max() > 1e-2


def test_that_a_parameter_has_a_gradient_where_any_process_has_one() -> None:
    trained = {name: torch.nn.Parameter(torch.ones(2, size)) for name, size in (("a", 1), ("b", 2), ("c", 3))}
    trained["b"].grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    here = _flat(trained)
    trained["b"].grad = torch.full((2, 2), 10.0)
    trained["c"].grad = torch.zeros(2, 3)
    _take(trained, here + _flat(trained))
    assert trained["a"].grad is None, "an optimiser leaves alone what has none"
    assert torch.equal(trained["b"].grad, torch.tensor([[11.0, 12.0], [13.0, 14.0]]))
    assert trained["c"].grad is not None and not trained["c"].grad.any()


def test_that_a_place_is_what_torchrun_says_and_alone_there_is_none() -> None:
    assert place_of({}) is None
    assert place_of({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}) is None
    assert place_of({"WORLD_SIZE": "4"}) is None
    place = place_of({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"})
    assert place == Place(1, 2) and not place.leads
    with told_as("one machine"):
        place_of({"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})


def test_that_every_process_needs_a_gpu_of_its_own_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with told_as("--nproc-per-node 1"):
        Processes(Place(1, 2))


def test_that_memory_that_is_too_small_even_for_the_factors_ends_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("played by a test")

    processes = Processes.__new__(Processes)
    processes.lost = False
    monkeypatch.setattr(torch, "cat", full)
    with pytest.raises(Lost):
        lend_factors(processes, {"a": torch.nn.Parameter(torch.ones(2))})
    assert processes.lost
