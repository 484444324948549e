# SPDX-License-Identifier: Apache-2.0
"""Checks that the coordinator makes on an update's parts before the update counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from ..errors import UserFacingError
from ..lora import Module, algebra
from ..lora.module import ModuleSource, rank_in
from ..lora.room import Room
from .plan import Plan
from .spec import FederationSpec
from .update import Report

# A report's norm is computed in float64 from the same bytes; other BLAS builds differ only in the last bits.
_NORM_TOLERANCE = 1e-4

# Far above what any training gives, and small enough that no sum of factors leaves float32, whatever notes and steps
# are reported: an update that passes these checks can always be combined.
_LARGEST_VALUE: Final = 1e9


def check_adapter(adapter: ModuleSource, spec: FederationSpec, plan: Plan) -> None:
    """Checks names, shapes, rank, scale and values; raises UserFacingError naming the module.

    The layout was checked when the blob was opened; here every module is read, so that values that are not finite or
    too large to combine are found. Also for control parts: a change of c_i has the shape of an adapter.
    """
    for _ in checked(adapter, spec, plan):
        pass


def check_norm(
    start: ModuleSource, after: Iterable[tuple[str, Module]], report: Report, cut: algebra.Cut = "best"
) -> None:
    """Checks that the norm that the site's operator saw is that of the adapter that arrived; raises UserFacingError.

    A site with a smaller rank than the start's began from the start cut back in the plan's way (`cut`), so this does
    too; growing changes nothing. Module by module, so memory holds one module of each; with `checked`, each file is
    read once.
    """
    room = Room()
    found = math.hypot(
        *(
            algebra.module_distance(module, algebra.module_cut(start.module(name), module.rank, cut), room)
            for name, module in after
        )
    )
    if abs(found - report.update_norm) > _NORM_TOLERANCE * max(1.0, found):
        raise UserFacingError("update.wrong_norm", found=f"{found:.6g}", reported=f"{report.update_norm:.6g}")


def check_values(name: str, module: Module) -> None:
    """Raises UserFacingError naming the module if it has a value far above what any training gives."""
    if max(float(max(factor.max(), -factor.min())) for factor in (module.B, module.A)) > _LARGEST_VALUE:
        raise UserFacingError("update.wild", module=name, largest=f"{_LARGEST_VALUE:g}")


def checked(adapter: ModuleSource, spec: FederationSpec, plan: Plan) -> Iterator[tuple[str, Module]]:
    """The modules in the order of a blob, each once it has passed the checks of `check_adapter`."""
    names = set(adapter.names)
    if missing := sorted(spec.base.modules.keys() - names):
        raise UserFacingError("update.missing_module", module=missing[0])
    if foreign := sorted(names - spec.base.modules.keys()):
        raise UserFacingError("update.foreign_module", module=foreign[0])
    for name, shape in sorted(spec.base.modules.items()):
        module = adapter.module(name)
        if module.shape != tuple(shape):
            raise UserFacingError(
                "update.wrong_shape", module=name, found=str(module.shape), expected=str(tuple(shape))
            )
        rank = min(rank_in(plan.by_module, name), *shape)
        if module.rank != rank:
            raise UserFacingError("update.wrong_rank", module=name, found=module.rank, expected=rank)
        if module.scale != spec.lora.scale:
            raise UserFacingError(
                "update.wrong_scale", module=name, found=f"{module.scale:.6g}", expected=spec.lora.scale
            )
        check_values(name, module)
        yield name, module
