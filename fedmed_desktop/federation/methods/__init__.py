# SPDX-License-Identifier: Apache-2.0
"""Aggregation methods, one file each. The specification's `[method]` table is one of these values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .adaptive_fedlora import AdaptiveFedLora
from .fed_medlora import FedMedLora
from .fed_medlora_plus import FedMedLoraPlus
from .fedavg import FedAvg
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
from .method import Assignment, Closing, Method, MethodState, Outcome
from .rolora import RoLora
from .sa_fedlora import SaFedLora
from .scaffold import Scaffold

AnyMethod = Annotated[
    AdaptiveFedLora
    | FedAvg
    | FedMedLora
    | FedMedLoraPlus
    | FedProx
    | FedNova
    | Scaffold
    | SaFedLora
    | FedOpal
    | FlexLora
    | FedEx
    | Flora
    | Ffa
    | RoLora
    | FedSa
    | FedRot,
    Field(discriminator="name"),
]

METHODS: dict[str, type[Method]] = {
    "fedavg": FedAvg,
    "fed_medlora": FedMedLora,
    "fed_medlora_plus": FedMedLoraPlus,
    "fedprox": FedProx,
    "fednova": FedNova,
    "scaffold": Scaffold,
    "sa_fedlora": SaFedLora,
    "flexlora": FlexLora,
    "fedex": FedEx,
    "flora": Flora,
    "ffa": Ffa,
    "rolora": RoLora,
    "fedsa": FedSa,
    "fedrot": FedRot,
    "adaptive_fedlora": AdaptiveFedLora,
    "fedopal": FedOpal,
}

__all__ = [
    "METHODS",
    "REFUSED",
    "AdaptiveFedLora",
    "AnyMethod",
    "Assignment",
    "Closing",
    "FedAvg",
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
    "MethodState",
    "Outcome",
    "RoLora",
    "SaFedLora",
    "Scaffold",
    "refusal_of",
    "usual",
]
