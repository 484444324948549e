# SPDX-License-Identifier: Apache-2.0
"""Aggregation methods, one file each. The specification's `[method]` table is one of these values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .fed_medlora import FedMedLora
from .fedavg import FedAvg
from .method import Assignment, Method, MethodState, Outcome

AnyMethod = Annotated[FedAvg | FedMedLora, Field(discriminator="name")]

METHODS: dict[str, type[Method]] = {"fedavg": FedAvg, "fed_medlora": FedMedLora}

__all__ = ["METHODS", "AnyMethod", "Assignment", "FedAvg", "FedMedLora", "Method", "MethodState", "Outcome"]
