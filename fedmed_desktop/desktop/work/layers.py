# SPDX-License-Identifier: Apache-2.0
"""Modules of an adapter by the layer that they lie in, and how much of an update's change is where. No Qt."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from ...federation.evidence import ModuleChange
from ...federation.work import Entry
from ...storage.outbox import Record
from ...wording import tr

# Half of the change in fewer layers than this share of all is told as being there; inferred.
SPREAD: Final = 0.4
# "model.layers.3.self_attn.q_proj" of Llama and its kin, "transformer.h.3.attn.c_attn" of GPT-2.
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|layer|blocks|block|h)\.(\d{1,4})\.(.+)$")


def place(module: str) -> tuple[int, str]:
    """(layer, module in it). Layers are numbered from 1, at the input; 0 is for what lies in no layer."""
    match = _LAYER.search(module)
    return (int(match[1]) + 1, match[2]) if match else (0, module)


def shares(changes: Mapping[str, ModuleChange]) -> dict[str, float]:
    """Share of each module in the energy of the change, which is the squared norm; they sum to 1. {} without any."""
    whole = sum(change.norm**2 for change in changes.values())
    return {name: change.norm**2 / whole for name, change in changes.items()} if whole > 0 else {}


def by_layer(values: Mapping[str, float]) -> dict[int, float]:
    """Sum of the modules' values in each layer, in order of the layers."""
    sums: defaultdict[int, float] = defaultdict(float)
    for name, value in values.items():
        sums[place(name)[0]] += value
    return dict(sorted(sums.items()))


def layer_norms(changes: Mapping[str, ModuleChange]) -> dict[int, float]:
    """Frobenius norm of each layer's change, in order of the layers."""
    return {layer: math.sqrt(sum_) for layer, sum_ in by_layer({n: c.norm**2 for n, c in changes.items()}).items()}


def layer_ranks(changes: Mapping[str, ModuleChange]) -> dict[int, tuple[int, int]]:
    """Smallest and largest rank of a module in each layer; {} where all modules have one rank."""
    ranks: defaultdict[int, list[int]] = defaultdict(list)
    for name, change in changes.items():
        ranks[place(name)[0]].append(change.rank)
    one = len({change.rank for change in changes.values()}) < 2
    return {} if one else {layer: (min(found), max(found)) for layer, found in ranks.items()}


def where(energy: Mapping[int, float]) -> str:
    """Sentence on which layers most of the change is in; `energy` by layer, in any unit."""
    whole = sum(energy.values())
    if not whole:
        return tr("Nothing has changed in this round.")
    count, held = 0, 0.0
    by_size = sorted(energy, key=lambda layer: (-energy[layer], layer))
    while held < 0.5 * whole and count < len(by_size):
        held += energy[by_size[count]]
        count += 1
    if len(energy) < 3 or count >= SPREAD * len(energy):
        return tr("The change is spread over all %n layers.", "", len(energy))
    text = tr("Half of the change is in %n of {all} layers, most of it in layer {most}.", "", count)
    return text.format(all=len(energy), most=by_size[0])


def last_trained(entry: Entry, record: Record) -> Entry | None:
    """The site's update of the latest round before this one; None where there is none."""
    earlier = [
        other for other in record.entries if other.plan.round < entry.plan.round and other.update.report.kind == "train"
    ]
    return earlier[-1] if earlier else None
