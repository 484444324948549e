# SPDX-License-Identifier: Apache-2.0
"""What the coordinator demands of an update's parts before they may count."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ..errors import UserFacingError
from ..lora import Module, algebra
from ..lora.module import ModuleSource
from .plan import Plan
from .spec import FederationSpec
from .update import Report

# A report's norm is computed in float64 from the very same bytes; other BLAS builds differ in the last bits only.
_NORM_TOLERANCE = 1e-4

# Far above what any training gives, and so small that no sum of factors leaves float32 whatever notes and steps a plan
# can ask for: what has passed these checks must be something that can be combined.
_LARGEST_VALUE: Final = 1e9


def check_adapter(adapter: ModuleSource, spec: FederationSpec, plan: Plan) -> None:
    """Names, shapes, rank and scale are those of the federation; raises UserFacingError naming the module.

    Layout was checked when the blob was opened; each module is read, so that one that is not finite is named too, and
    one that is too large to be combined.
    A control part is checked like this as well: c_i has the shape of an adapter.
    """
    names = set(adapter.names)
    if missing := sorted(spec.base.modules.keys() - names):
        raise UserFacingError("update.missing_module", module=missing[0])
    if foreign := sorted(names - spec.base.modules.keys()):
        raise UserFacingError("update.foreign_module", module=foreign[0])
    for name, shape in spec.base.modules.items():
        module = adapter.module(name)
        if module.shape != tuple(shape):
            raise UserFacingError(
                "update.wrong_shape", module=name, found=str(module.shape), expected=str(tuple(shape))
            )
        rank = min(plan.rank, *shape)
        if module.rank != rank:
            raise UserFacingError("update.wrong_rank", module=name, found=module.rank, expected=rank)
        if module.scale != spec.lora.scale:
            raise UserFacingError("update.wrong_scale", module=name, found=module.scale, expected=spec.lora.scale)
        check_values(name, module)


def check_values(name: str, module: Module) -> None:
    """Raises UserFacingError naming the module where it has a value that no working training gives."""
    if max(float(np.abs(module.B).max()), float(np.abs(module.A).max())) > _LARGEST_VALUE:
        raise UserFacingError("update.wild", module=name, largest=f"{_LARGEST_VALUE:g}")


def check_norm(start: ModuleSource, after: ModuleSource, report: Report, cut: algebra.Cut = "best") -> None:
    """The norm that the site's operator saw is the norm of what arrived; raises UserFacingError.

    A site that was planned a smaller rank than the start's began from the start cut back to it, in the plan's way
    (`cut`), and so does this; growing changes nothing. Module by module, so that memory holds one module of
    each, however many sites upload.
    """
    found = math.hypot(*(_distance(after.module(name), start.module(name), cut) for name in after.names))
    if abs(found - report.update_norm) > _NORM_TOLERANCE * max(1.0, found):
        raise UserFacingError("update.wrong_norm", found=f"{found:.6g}", reported=f"{report.update_norm:.6g}")


def _distance(after: Module, start: Module, cut: algebra.Cut) -> float:
    return algebra.module_distance(after, algebra.module_cut(start, after.rank, cut))
