# SPDX-License-Identifier: Apache-2.0
"""Aggregation methods, one per file. A specification's `[method]` table is one of these values."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from .adaptive_fedlora import AdaptiveFedLora
from .fed_medlora import FedMedLora
from .fed_medlora_plus import FedMedLoraPlus
from .fedadam import FedAdam
from .fedavg import FedAvg
from .fedavgm import FedAvgM
from .fedex import FedEx
from .fednova import FedNova
from .fedopal import FedOpal
from .fedprox import FedProx
from .fedrot import FedRot
from .fedsa import FedSa
from .ffa import Ffa
from .fitting import REFUSED, refusal_of, usual
from .flexlora import FlexLora
from .flora import Flora
from .method import Method, Opening
from .rolora import RoLora
from .sa_fedlora import SaFedLora
from .scaffold import Scaffold

AnyMethod = Annotated[
    FedAvg
    | FedMedLora
    | FedMedLoraPlus
    | FedProx
    | FedNova
    | FedAvgM
    | FedAdam
    | Scaffold
    | SaFedLora
    | FlexLora
    | FedEx
    | Flora
    | Ffa
    | RoLora
    | FedSa
    | FedRot
    | AdaptiveFedLora
    | FedOpal,
    Field(discriminator="name"),
]

METHODS: dict[str, type[Method]] = {one.model_fields["name"].default: one for one in get_args(get_args(AnyMethod)[0])}

__all__ = [
    "METHODS",
    "REFUSED",
    "AdaptiveFedLora",
    "AnyMethod",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedEx",
    "FedMedLora",
    "FedMedLoraPlus",
    "FedNova",
    "FedOpal",
    "FedProx",
    "FedRot",
    "FedSa",
    "Ffa",
    "FlexLora",
    "Flora",
    "Method",
    "Opening",
    "RoLora",
    "SaFedLora",
    "Scaffold",
    "refusal_of",
    "usual",
]
