# SPDX-License-Identifier: Apache-2.0
"""`report.json`: the results of a demonstration as numbers that another program can read."""

from __future__ import annotations

import json
import platform
import threading
from collections import defaultdict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__, events
from ..federation.record import RoundRecord, SiteRecord
from ..scores import Scores, pool
from ..training.device import Device, available_cores, peak_resident_mib, total_memory
from ..wording.model_card import write_model_card
from .comparison import TestScores
from .federation import Finished
from .settings import DemoOptions

Told = Callable[[Scores], dict[str, object]]


class Traffic:
    """Bytes that moved, by site and round, gathered from events. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: dict[tuple[str, int, str], dict[str, int]] = defaultdict(dict)

    def emit(self, event: events.Event) -> None:
        if isinstance(event, events.TransferProgress):
            with self._lock:
                self._bytes[event.site, event.round, event.direction][event.blob] = event.bytes

    def total(self, site: str, round_number: int, direction: str) -> int:
        with self._lock:
            return sum(self._bytes[site, round_number, direction].values())


def write_report(
    options: DemoOptions,
    finished: Finished,
    traffic: Traffic,
    seconds: float,
    device: Device,
    threads: int,
    before: TestScores,
    federation: TestScores,
    alone: dict[str, TestScores],
    fitted: dict[str, TestScores],
) -> Path:
    """Writes the final model (also that of each site with a part of its own) as PEFT folders, and `report.json`.

    Returns the path of the latter. PEFT loads one adapter, so it includes the frozen one.
    """
    options.report.mkdir(parents=True, exist_ok=True)
    finished.adapter.save_peft(options.report / "adapter", str(options.model))
    write_model_card(options.report / "adapter", finished.record, str(options.model))
    for site, adapter in finished.at_site.items():
        adapter.save_peft(options.report / f"adapter-{site}", str(options.model))
    told = _named if len(federation.pooled.tasks) > 1 else Scores.summary
    test: dict[str, Any] = {"before": _overall(before, told), "federation": _overall(federation, told)}
    for name, of_sites in {"alone": alone, "fitted": fitted}.items():
        if of_sites:
            test[name] = {
                site: {"pooled": told(scores.pooled), "own": told(scores.by_site[site])}
                for site, scores in sorted(of_sites.items())
            }
    content = {
        "method": finished.spec.method.name,
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "device": device.reason,
        "threads": threads,
        "peak_memory_mib": round(peak_resident_mib(), 1),
        "machine": _machine(),
        "versions": _versions(),
        "spec": finished.spec.model_dump(mode="json", exclude={"base": {"modules"}}),
        "adapter": finished.state.start,
        "frozen": finished.state.frozen,
        "traffic": _at_socket(finished),
        "rounds": [_round(record, finished, traffic, told) for record in finished.state.history],
        "test": test,
    }
    path = options.report / "report.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def _at_socket(finished: Finished) -> dict[str, Any]:
    """Bytes at the coordinator's socket, of all sites and rounds, beside the base model's own in bfloat16.

    The shares are of one site in one round, so that they can be compared whatever the number of both.
    """
    full, spec = finished.spec.base.full_bytes, finished.spec
    told: dict[str, Any] = dict(finished.at_socket)
    if full:
        times = max(1, len(finished.state.sites) * spec.rounds)
        told |= {
            f"{way}_percent_of_full_model_per_site_and_round": round(100 * (told[way] or 0) / times / full, 4)
            for way in ("received", "sent")
        }
    return told


def _named(scores: Scores) -> dict[str, object]:
    """Scores task by task, also where a site has one task of several."""
    return {"headline": round(scores.headline, 4), **{name: scores[name].summary() for name in scores.scored}}


def _overall(scores: TestScores, told: Told) -> dict[str, object]:
    own = {site: told(score) for site, score in sorted(scores.by_site.items())}
    return {**told(scores.pooled), "pooled": told(scores.pooled), "own": own}


def _after(record: RoundRecord, finished: Finished) -> Scores:
    """The federation's score after a round: the pooled "before" of the next round, or the final test scores."""
    following = [r for r in finished.state.history if r.round == record.round + 1]
    if following:
        return pool(site.update.report.scores_before for _, site in sorted(following[0].sites.items()))
    return pool(report.scores_after for _, report in sorted(finished.state.evaluation.items()))


def _round(record: RoundRecord, finished: Finished, traffic: Traffic, told: Told) -> dict[str, Any]:
    last = record.round == finished.spec.rounds
    return {
        "round": record.round,
        "attempt": record.attempt,
        "reason": record.reason,
        "sites": {site: _site(site, entry, record, finished, traffic, told) for site, entry in record.sites.items()},
        "declined": record.declined,
        "federation": {
            "adapter": record.adapter,
            "residual": None if record.residual is None else round(record.residual, 6),
            "frozen": record.frozen,
            "measures": record.measures,
            "norm": round(record.norm, 4),
            "effective_rank": round(record.effective_rank, 3),
            "scored_on": "test notes (validation where a site has none)" if last else "validation notes",
            **told(_after(record, finished)),
        },
    }


def _site(
    site: str, entry: SiteRecord, record: RoundRecord, finished: Finished, traffic: Traffic, told: Told
) -> dict[str, Any]:
    report = entry.update.report
    approvals = [d for d in finished.decisions.get(site, []) if d.sha256 == entry.sha256 and d.decision == "approved"]
    return {
        "notes": report.notes,
        "supervised_tokens": report.supervised_tokens,
        "steps": report.steps,
        "weight": round(entry.weight, 6),
        "train_loss": report.train_loss,
        "loss_before": report.loss_before,
        "loss_after": report.loss_after,
        "scores_before": told(report.scores_before),
        "scores_after": told(report.scores_after),
        "drift": {name: round(value, 4) for name, value in entry.drift if value is not None},
        "shared_loss": entry.shared_loss,
        "rank": entry.rank,
        "effective_rank": round(entry.effective_rank, 3),
        "update_norm": round(report.update_norm, 4),
        "bytes_up": traffic.total(site, record.round, "up"),
        "bytes_down": traffic.total(site, record.round, "down"),
        "percent_of_full_model": _share(site, record.round, traffic, finished),
        "seconds": report.seconds,
        "approved_by": approvals[-1].by if approvals else None,
        "approval_reason": approvals[-1].reason if approvals else None,
    }


def _share(site: str, number: int, traffic: Traffic, finished: Finished) -> float | None:
    """Bytes of adapters that the site sent and fetched in the round, beside the base model's in bfloat16."""
    moved, full = traffic.total(site, number, "up") + traffic.total(site, number, "down"), finished.spec.base.full_bytes
    return round(100 * moved / full, 4) if full else None


def _machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": available_cores(),
        "memory_mib": total_memory() // 2**20,
    }


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "peft", "numpy", "safetensors", "websockets")
    own = {"fedmed-desktop": __version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in names}
