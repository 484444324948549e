# SPDX-License-Identifier: Apache-2.0
"""Cost of secure aggregation for a site and a coordinator, beside the plain path with the same updates, in one run.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/secure_aggregation.py [--millions 1 10 42] [--sites 3 10 50]

A site: `masked` is all that it does from the trained adapter to the bytes that leave (keys, shares for all others, the
opening of theirs, numbers, masks); `plain` is the same adapter as a float32 blob. Bytes are those of an update, and all
that the exchange adds, as messages in JSON. One site is measured and stands for all: all do the same.

A coordinator: `masked` sums the masked updates of all sites but one that is lost, opens the sum and decodes it; `plain`
averages as many updates in the open, with the residual, as the product does. 50 times 42 million numbers do not fit
into memory here: one masked update and SAMPLE plain ones stand for all, which costs as much. Their masks do not cancel
then; that an opened sum is right is shown first, with SAMPLE sites that are all their own.

Seconds are of the process's one core: BLAS has one thread, and a busy machine does not count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from fedmed_desktop.federation.averaging import average
from fedmed_desktop.federation.secure_aggregation import (
    Keys,
    Layout,
    Masker,
    Masking,
    Numbers,
    Opening,
    SecureAggregationSettings,
    Session,
    blob_of,
    decoded,
    encoded,
    numbers_of,
    total,
)
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.room import Room

SAMPLE: Final = 4
RANK: Final = 16
SETTINGS: Final = SecureAggregationSettings(on=True, clip=0.5, largest_weight=5000)
FEDERATION: Final = hashlib.sha256(b"federation").hexdigest()
WEIGHT: Final = 0.2
COLUMNS: Final = (
    "parameters",
    "sites",
    "bits",
    "site, plain, s",
    "site, masked, s",
    "bytes of an update",
    "x bfloat16",
    "exchange, bytes sent",
    "bytes fetched",
    "coordinator, plain, s",
    "coordinator, masked, s",
)


@dataclass
class Clock:
    """Seconds of this process's one core."""

    begun: float = 0.0

    def __enter__(self) -> Clock:
        self.begun = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self.begun


def how_of(sites: int) -> Masking:
    """Masking among so many sites, with as few bits as they may."""
    how = SETTINGS.masking(sites)
    assert how is not None
    return how


def shapes(millions: float) -> dict[str, tuple[int, int]]:
    """Linears of a decoder, with so many million numbers in their adapters of rank 16."""
    d = 1024
    many = max(1, round(millions * 1e6 / (RANK * 2 * d)))
    return {f"layers.{number}.linear": (d, d) for number in range(many)}


def adapter(of: dict[str, tuple[int, int]], seed: int, start: Adapter | None = None) -> Adapter:
    rng = np.random.Generator(np.random.PCG64(seed))

    def factor(rows: int, columns: int) -> np.ndarray:
        return 0.01 * rng.standard_normal((rows, columns), dtype=np.float32)

    return Adapter(
        {
            name: Module(
                factor(d, RANK) + (start[name].B if start else 0),
                factor(RANK, k) + (start[name].A if start else 0),
                4.0,
            )
            for name, (d, k) in of.items()
        }
    )


class Exchange:
    """Keys and shares of so many sites; what they say is counted."""

    def __init__(self, sites: int, session: Session, masking: Masking) -> None:
        self.session, self.masking = session, masking
        self.names = [f"site-{number:03}" for number in range(sites)]
        self.keys_of = {name: PrivateKey(hashlib.sha256(name.encode()).digest()) for name in self.names}
        with Clock() as first:
            self.maskers = {self.names[0]: self._begun(self.names[0])}
        for name in self.names[1:]:
            self.maskers[name] = self._begun(name)
        self.keys: dict[str, Keys] = {name: one.keys for name, one in self.maskers.items()}
        known = {name: one.public for name, one in self.keys_of.items()}
        with Clock() as second:
            boxes = {self.names[0]: self.maskers[self.names[0]].shared(self.keys, known, os.urandom)}
        for name in self.names[1:]:
            boxes[name] = self.maskers[name].shared(self.keys, known, os.urandom)
        mine = {name: each[self.names[0]] for name, each in boxes.items() if name != self.names[0]}
        with Clock() as third:
            self.maskers[self.names[0]].received(mine)
        for name in self.names[1:]:
            self.maskers[name].received({one: each[name] for one, each in boxes.items() if one != name})
        self.seconds = first.seconds + second.seconds + third.seconds
        said = [self.keys[self.names[0]].model_dump(), boxes[self.names[0]]]
        heard = [{name: one.model_dump() for name, one in self.keys.items()}, mine]
        self.sent, self.fetched = (sum(len(json.dumps(one)) for one in each) for each in (said, heard))

    def _begun(self, name: str) -> Masker:
        return Masker.begin(name, self.keys_of[name], self.session, self.masking, os.urandom)

    def opening(self, survivors: list[str]) -> tuple[Opening, int]:
        """Shares that open the sum of these, and the bytes that a site says for it."""
        chosen = tuple(sorted(survivors))
        agreements = {name: self.maskers[name].agree(self.keys_of[name], chosen) for name in chosen}
        reveals = {name: self.maskers[name].reveal(agreements) for name in chosen}
        about = {"session": self.session, "masking": self.masking, "keys": self.keys, "members": tuple(self.names)}
        said = len(reveals[chosen[0]].model_dump_json()) + len(agreements[chosen[0]])
        return Opening(**about, survivors=chosen, reveals=reveals), said


def of_a_site(layout: Layout, start: Adapter, after: Adapter, exchange: Exchange) -> tuple[dict[str, float], bytes]:
    masker = exchange.maskers[exchange.names[0]]
    with Clock() as plain:
        blob = after.to_blob()
        hashlib.sha256(blob).hexdigest()
    plain_bytes = len(blob)
    del blob
    with Clock() as masked:
        numbers = encoded(layout, start, after, WEIGHT, len(exchange.names)).numbers
        masker.mask(numbers)
        blob = blob_of(layout, numbers)
        hashlib.sha256(blob).hexdigest()
    return {
        "plain_seconds": plain.seconds,
        "masked_seconds": masked.seconds + exchange.seconds,
        "exchange_seconds": exchange.seconds,
        "plain_bytes": plain_bytes,
        "masked_bytes": len(blob),
        "bfloat16_bytes": 2 * layout.values,
    }, blob


def streamed(layout: Layout, updates: list[bytes], many: int) -> Iterator[Numbers]:
    for number in range(many):
        yield numbers_of(layout, updates[number % len(updates)])


def of_a_coordinator(
    layout: Layout, start: Adapter, updates: list[bytes], trained: list[Adapter], opening: Opening
) -> dict[str, float]:
    many = len(opening.survivors)
    with Clock() as masked:
        decoded(layout, start, total(opening, streamed(layout, updates, many), layout.length))
    room = Room()
    with Clock() as plain:
        for name in start.names:
            parts = ((1 / many, trained[number % len(trained)].module(name)) for number in range(many))
            average(name, parts, many, room, 0)
    return {"plain_seconds": plain.seconds, "masked_seconds": masked.seconds}


def is_right(layout: Layout, start: Adapter, exchange: Exchange, trained: list[Adapter]) -> float:
    """The largest difference of the opened sum from the plain average, with distinct updates and one site lost."""
    survivors = exchange.names[:-1]
    updates = []
    for name, after in zip(survivors, trained, strict=True):
        numbers = encoded(layout, start, after, WEIGHT, len(exchange.names)).numbers
        exchange.maskers[name].mask(numbers)
        updates.append(blob_of(layout, numbers))
    opening, _ = exchange.opening(survivors)
    found = decoded(layout, start, total(opening, streamed(layout, updates, len(updates)), layout.length))
    furthest = 0.0
    for name in start.names:
        for factor in ("A", "B"):
            mean = np.mean([getattr(one[name], factor).astype(np.float64) for one in trained], axis=0)
            furthest = max(furthest, float(np.abs(getattr(found[name], factor) - mean).max()))
    return furthest


def measured(millions: float, sites: int) -> dict[str, Any]:
    modules = shapes(millions)
    start = adapter(modules, 0)
    how = how_of(sites)
    layout = Layout.of(start.sha256, modules, ("A", "B"), RANK, how)
    session = Session(federation=FEDERATION, round=1, layout=layout.sha256)
    exchange = Exchange(sites, session, how)
    trained = [adapter(modules, 1 + number, start) for number in range(min(sites, SAMPLE))]
    site, blob = of_a_site(layout, start, trained[0], exchange)
    survivors = exchange.names if sites == 3 else exchange.names[:-1]  # a sum has three at least
    opening, said = exchange.opening(survivors)
    updates = [blob] * len(trained)
    coordinator = of_a_coordinator(layout, start, updates, trained, opening)
    return {
        "parameters": layout.values,
        "bits": how.bits,
        "sites": sites,
        "lost": sites - len(survivors),
        "site": site | {"exchange_sent_bytes": exchange.sent + said, "exchange_fetched_bytes": exchange.fetched},
        "coordinator": coordinator,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 42], metavar="N")
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 10, 50], metavar="N")
    parser.add_argument("--check", action="store_true", help="status 1 where 42 million take a site 10 s or more")
    options = parser.parse_args()
    modules = shapes(1)
    start = adapter(modules, 0)
    error = 0.0
    for bits in (24, 28, 32):
        how = how_of(SAMPLE).model_copy(update={"bits": bits})
        layout = Layout.of(start.sha256, modules, ("A", "B"), RANK, how)
        exchange = Exchange(SAMPLE, Session(federation=FEDERATION, round=1, layout=layout.sha256), how)
        trained = [adapter(modules, 1 + number, start) for number in range(SAMPLE - 1)]
        here = is_right(layout, start, exchange, trained)
        print(f"largest difference from the plain average, {SAMPLE} sites, one lost, {bits} bits: {here:.2g}")
        error = max(error, here)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}")
    found = []
    for millions in options.millions:
        for sites in options.sites:
            one = measured(millions, sites)
            found.append(one)
            site, coordinator = one["site"], one["coordinator"]
            cells = (
                f"{one['parameters']:,}",
                f"{sites}, {one['lost']} lost",
                str(one["bits"]),
                f"{site['plain_seconds']:.2f}",
                f"{site['masked_seconds']:.2f}",
                f"{site['masked_bytes']:,}",
                f"{site['masked_bytes'] / site['bfloat16_bytes']:.3f}",
                f"{site['exchange_sent_bytes']:,}",
                f"{site['exchange_fetched_bytes']:,}",
                f"{coordinator['plain_seconds']:.2f}",
                f"{coordinator['masked_seconds']:.2f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    print(json.dumps({"error": error, "cases": found}, indent=1))
    slow = [one for one in found if one["parameters"] > 4e7 and one["site"]["masked_seconds"] >= 10]
    return 1 if error >= 1e-5 or (options.check and slow) else 0


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        sys.exit(main())
