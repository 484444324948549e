# SPDX-License-Identifier: Apache-2.0
"""Terms that a plan adds to the loss of a site's task, as data. training.objectives turns them into torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..bounds import PositiveFloat, PositiveInt, Scalar
from .values import Frozen, Sha256


class Proximal(Frozen):
    """Adds (mu / 2) |x - x_start|^2 to the loss, x being the factors or delta W itself (FedProx, arXiv 1812.06127).

    A sum over parameters, so `mu` does not depend on the number of examples.
    """

    term: Literal["proximal"] = "proximal"
    mu: PositiveFloat
    on: Literal["factors", "product"] = "factors"


class ControlVariate(Frozen):
    """SCAFFOLD's correction c - c_i (arXiv 1910.06378); c_i stays at the site and its change is shared.

    `control` is the coordinator's c; None means zero, as in the first round. form "sgd": c_i from the path of local
    SGD, (x - y) / (steps x rate) + c_i - c. form "gradient": c_i is the mean gradient of the loss at the start, which
    is also right under AdamW, whose steps are not multiples of gradients. Both are added to the gradient.
    """

    term: Literal["control"] = "control"
    form: Literal["sgd", "gradient"]
    control: Sha256 | None = None


class Orthogonal(Frozen):
    """Trains a personal adapter of rank `rank` beside the shared one, orthogonal to it (guide/method-fedopal.md).

    Adds `weight` times their overlap, a mean over modules that is 0 for orthogonal adapters. on "weights":
    |A_g A_p^T|^2 / min(r_g, r_p) of unit rows, 1 if orthonormal rows span the same space; on "outputs": mean over
    tokens of cos^2(B_g A_g x, B_p A_p x). Both inferred. The personal adapter never leaves the site.
    """

    term: Literal["orthogonal"] = "orthogonal"
    weight: Scalar
    on: Literal["weights", "outputs"] = "weights"
    rank: PositiveInt


Objective = Annotated[Proximal | ControlVariate | Orthogonal, Field(discriminator="term")]
