# SPDX-License-Identifier: Apache-2.0
"""Check of everything that a site needs before it joins: the way to the coordinator, disk, memory, GPU and secret key.

Neither Qt nor torch: facts about a GPU are handed in by who may ask for them. It joins nothing and changes nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import Size, UserFacingError, disk_fault
from ..federation import FederationSpec
from ..federation.spec import LoraSettings
from ..lora.base_model import decoder_linears, weight_count
from ..storage.secrets import where_kept
from .findings import Finding, Params, Tell
from .folder import known_spec
from .reach import Target, look_at_line

# All inferred. Beside the weights (float32 on the CPU, bfloat16 on a GPU) come activations, gradients and the program.
_SPARE: Final = 1.25
_PROGRAM_BYTES: Final = 1.5e9
_BYTES_ON_CPU: Final = 4
_BYTES_ON_GPU: Final = 2
_FACTOR_BYTES: Final = 4
# It fits; it never will; it may not; it would if nothing else were there.
_ON_CPU: Final = ("check.memory", "check.memory_too_small", "check.memory_small", "check.memory_taken")
_ON_GPU: Final = ("check.gpu", "check.gpu_too_small", "check.gpu_small", "check.gpu_taken")
# Adapters that a site keeps at most at one time, with the checkpoint of a training and its optimizer's state.
_ADAPTERS_KEPT: Final = 12
_FEWEST_WEIGHTS: Final = 5e6  # those of the bundled model
_DISK_BYTES: Final = 1e9
_TOO_LITTLE_DISK: Final = 2e8
_SLOW_SECONDS: Final = 1800.0


@dataclass(frozen=True)
class Gpu:
    """A GPU that training would use."""

    name: str
    total: int  # bytes
    free: int


@dataclass(frozen=True)
class Takes:
    """Bytes that training takes: for a whole batch, and at least, a note at a time with layers computed anew."""

    batch: int
    least: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of a training that decide what memory it takes: rank, examples of a batch, tokens of an example.
    `is_guess`: not those of a federation but usual ones, at least in part.
    """

    rank: int = LoraSettings().rank
    batch: int = 4
    tokens: int = 800
    is_guess: bool = True

    @classmethod
    def of(cls, spec: FederationSpec) -> Sizes:
        return cls(spec.lora.rank, spec.training.batch_size, spec.training.max_tokens, is_guess=False)


@dataclass(frozen=True)
class Asked:
    """Things to check; None: not known yet, and left out. `gpu`, `takes` and `refused` are told by who has torch:
    the last is why the model cannot be adapted, beyond what its files alone show."""

    target: Target | None = None
    model: Path | None = None
    data_dir: Path | None = None
    gpu: Gpu | None = None
    takes: Takes | None = None
    sizes: Sizes = Sizes()
    refused: UserFacingError | None = None


def with_known_sizes(asked: Asked) -> Asked:
    """Adds the sizes of the federation that the site in `data_dir` has joined, if it has. It opens the folder."""
    spec = known_spec(asked.data_dir) if asked.sizes.is_guess and asked.data_dir else None
    return replace(asked, sizes=Sizes.of(spec)) if spec else asked


@dataclass(frozen=True)
class _Model:
    """Sizes of a base model: numbers in it, and bytes of an adapter for it."""

    weights: int
    adapter: int


def _now() -> datetime:
    return datetime.now(UTC)


async def look(asked: Asked, tell: Tell, clock: Callable[[], datetime] = _now) -> None:
    """Tells each finding as soon as there is one; takes seconds, up to a minute where nothing answers."""
    speed = await look_at_line(asked.target, clock, tell) if asked.target else None
    model = await asyncio.to_thread(_sizes, asked, tell) if asked.model else None
    if speed:
        tell(_speed_finding(speed, model, asked.sizes.rank))
    for finding in await asyncio.to_thread(_computer, asked, model):
        tell(finding)


def findings(asked: Asked, clock: Callable[[], datetime] = _now) -> list[Finding]:
    """All of them at once; for a thread that has no event loop."""
    found: list[Finding] = []
    asyncio.run(look(asked, found.append, clock))
    return found


def computer(folder: Path, gpu: Gpu | None) -> list[Finding]:
    """Findings before anybody has chosen a model: GPU, memory, what that suffices for, disk."""
    import psutil  # only where somebody looks

    memory = psutil.virtual_memory()
    there: Params = {"total": Size(memory.total), "free": Size(memory.available)}
    has_gpu: Params = {"gpu": gpu.name, "total": Size(gpu.total)} if gpu else {}
    return [
        Finding("gpu", "ok", "check.gpu_found", has_gpu) if gpu else Finding("gpu", "warning", "check.no_gpu"),
        Finding("memory", "ok", "check.memory_there", there),
        _largest(gpu.total if gpu else memory.total, _BYTES_ON_GPU if gpu else _BYTES_ON_CPU),
        _disk(folder, None),
    ]


def _largest(memory: int, each: int) -> Finding:
    """Weights of the largest model that would fit, by what `_guessed` takes for one."""
    weights = (memory - _PROGRAM_BYTES) / (each * _SPARE)
    if weights < _FEWEST_WEIGHTS:
        return Finding("training", "warning", "check.largest_none")
    if weights >= 1e9:
        return Finding("training", "ok", "check.largest_billions", {"number": round(weights / 1e9, 1)})
    return Finding("training", "ok", "check.largest_millions", {"number": round(weights / 1e6)})


def _sizes(asked: Asked, tell: Tell) -> _Model | None:
    assert asked.model is not None
    try:
        if asked.refused is not None:
            raise asked.refused
        linears = decoder_linears(asked.model)
        adapter = sum((d + k) * asked.sizes.rank * _FACTOR_BYTES for d, k in linears.values())
        return _Model(weight_count(asked.model), adapter)
    except UserFacingError as error:
        tell(Finding.of("memory", error))
        return None


def _speed_finding(speed: float, model: _Model | None, rank: int) -> Finding:
    shown: Params = {"speed": round(speed * 8 / 1e6, 1)}
    if model is None:
        return Finding("speed", "ok", "check.speed", shown)
    seconds = 2 * model.adapter / speed
    params: Params = {**shown, "size": Size(model.adapter), "rank": rank, "minutes": max(1, round(seconds / 60))}
    if seconds > _SLOW_SECONDS:
        return Finding("speed", "warning", "check.speed_slow", params)
    return Finding("speed", "ok", "check.speed_round" if seconds >= 60 else "check.speed_quick", params)


def _computer(asked: Asked, model: _Model | None) -> list[Finding]:
    found = []
    if asked.data_dir is not None:
        found.append(_disk(asked.data_dir, model))
    if model is not None:
        found.append(_memory(asked, model))
    if asked.data_dir is not None:
        found.append(_key(asked.data_dir))
    return found


def _disk(data_dir: Path, model: _Model | None) -> Finding:
    place = next(folder for folder in (data_dir.absolute(), *data_dir.absolute().parents) if folder.exists())
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding.of("disk", disk_fault(error, place))
    needed = _DISK_BYTES + (model.adapter * _ADAPTERS_KEPT if model else 0)
    params: Params = {"path": str(data_dir), "free": Size(free), "needed": Size(needed)}
    if free < _TOO_LITTLE_DISK:
        return Finding("disk", "wrong", "check.disk_full", params)
    if free < needed:
        return Finding("disk", "warning", "check.disk_little", params)
    return Finding("disk", "ok", "check.disk", params)


def _guessed(gpu: Gpu | None, model: _Model) -> Takes:
    """Guesses from the number of weights alone, where torch is not there to count, or cannot."""
    weights = model.weights * (_BYTES_ON_GPU if gpu else _BYTES_ON_CPU)
    return Takes(round(weights * _SPARE + _PROGRAM_BYTES), weights)


def _memory(asked: Asked, model: _Model) -> Finding:
    """Finds whether training fits into the GPU that it would use, or into memory; and of what that is said."""
    import psutil  # only where somebody looks

    gpu, takes = asked.gpu, asked.takes or _guessed(asked.gpu, model)
    memory = psutil.virtual_memory()
    total, free = (gpu.total, gpu.free) if gpu else (memory.total, memory.available)
    fits, too_small, small, taken = _ON_GPU if gpu else _ON_CPU
    told = {"needed": takes.batch, "total": total, "free": free, "least": takes.least}
    params: dict[str, str | int | float] = {name: Size(size) for name, size in told.items()}
    params |= {"gpu": gpu.name} if gpu else {}
    because = ""
    if asked.takes:  # else it was told from the number of weights, in which sizes play no part
        params |= {"batch": asked.sizes.batch, "tokens": asked.sizes.tokens, "rank": asked.sizes.rank}
        because = "check.sizes_guessed" if asked.sizes.is_guess else "check.sizes_known"
    if total < takes.least:
        return Finding("memory", "wrong", too_small, params, because)
    if total < takes.batch:
        return Finding("memory", "warning", small, params, because)
    if free < takes.batch:
        return Finding("memory", "warning", taken, params, because)
    return Finding("memory", "ok", fits, params, because)


def _key(data_dir: Path) -> Finding:
    """Finds where the key lies; the keyring is not asked, which might open a window."""
    try:
        kept = where_kept(data_dir, "site")
    except UserFacingError as error:
        return Finding.of("key", error)
    if kept is None:
        return Finding("key", "ok", "check.no_key")
    return Finding("key", "ok", kept.code, {"detail": kept.detail}, kept.reason)
