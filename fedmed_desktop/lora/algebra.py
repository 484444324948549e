# SPDX-License-Identifier: Apache-2.0
"""Low-rank algebra on adapters: float64 inside, and never a d x k matrix.

Everything is measured on delta W = scale B A, so factors that differ only by a change of basis are equal here.
With QR of both thin factors, delta W = Q1 C Q2^T where C = scale R1 R2^T is at most r x r and has delta W's norm and
singular values. Norms come from traces where nothing cancels in them. Costs are O((d + k) r^2 + r^3) per module. The
last bits depend on the number of BLAS threads, so callers that promise equal bytes fix it. Functions on modules have
the prefix `module_`. Identities: FlexLoRA (arXiv 2402.11505) in QR form and FLoRA stacking (arXiv 2409.05976), both
tested against dense matrices.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from ..arrays import np
from ..errors import UserFacingError
from .adapter import Adapter
from .module import Module, ModuleSource, Ranks, check_rank, kaiming_rows, naming, rank_in, to_float32
from .room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]


Cut = Literal["best", "fresh", "first"]
"""Ways to reduce a module's rank: the best approximation, in either split, or the first directions unchanged."""

Split = Literal["balanced", "fresh"]
"""Ways to share a product's singular values out to its factors: evenly, or all to B beyond the size of a fresh A."""

# A sum of products loses about 1e-15 of its terms' size, so one that is no smaller than a 500th of it keeps 12 digits.
_LEAST_CANCELLED: Final = 500.0

# How far from orthogonal the first step of CholeskyQR2 may leave a matrix: the second then brings it to the last digit.
_NEARLY: Final = 1e-3

# Norm of a fresh Kaiming row of A: k draws from U(-1/sqrt(k), 1/sqrt(k)) have a mean square sum of 1/3.
_FRESH_ROW_NORM: Final = math.sqrt(1 / 3)


def module_norm(x: Module) -> float:
    """Frobenius norm of delta W."""
    return x.scale * product_norm(x.B.astype(np.float64), x.A.astype(np.float64))


def module_distance(x: Module, y: Module, room: Room | None = None) -> float:
    """Frobenius norm of delta W_x - delta W_y, computed in `room` if given. Raises UserFacingError if shapes differ.

    B A - B' A' = [B - B', B'] [A; A - A'], so that nothing cancels where the two are factor by factor alike.
    """
    if x.shape != y.shape:
        raise _shapes_differ("a module", x.shape, y.shape)
    if x.rank < y.rank:
        x, y = y, x
    (d, k), r, s = x.shape, x.rank, y.rank  # the directions that only x has stand alone
    b, a = (room or Room()).matrices((d, r + s), (r + s, k))
    b[:, :r], b[:, r:], a[:r] = x.B, y.B, x.A
    b[:, :s] -= b[:, r:]
    np.multiply(y.A, y.scale / x.scale, out=a[r:], dtype=np.float64)
    np.subtract(a[:s], a[r:], out=a[r:])
    return x.scale * product_norm(b, a)


def product_norm(b: Float64, a: Float64) -> float:
    """Frobenius norm of b a, exact to 1e-12 of itself.

    By |b a|^2 = sum of (b^T b) * (a a^T), which costs a tenth of two QRs, where what is summed does not cancel;
    otherwise as the norm of the core. Exactly 0 where every column of b or its row of a is.
    """
    gram_b, gram_a = b.T @ b, a @ a.T
    squared = float(np.sum(gram_b * gram_a))
    whole = float(np.sum(np.sqrt(gram_b.diagonal() * gram_a.diagonal()))) ** 2  # no sum of these terms is larger
    if squared * _LEAST_CANCELLED >= whole:
        return math.sqrt(squared)
    return float(np.linalg.norm(_triangle(b) @ _triangle(a.T).T))


def module_weighted_sum(terms: Sequence[tuple[float, Module]]) -> Module:
    """sum_i w_i delta W_i by stacking: the ranks add up, and weights, which may be negative, go into A alone.

    The result has the largest scale. Raises UserFacingError if shapes differ.
    """
    b, a, scale = _stack(terms)
    return Module(to_float32(b), to_float32(a), scale)


def module_truncate(module: Module, rank: int) -> tuple[Module, float]:
    """Best approximation of rank min(rank, d, k), and the energy dropped: the sum of squared lost singular values.

    A module of no larger rank is returned unchanged. Otherwise B = U sqrt(S / scale), A = sqrt(S / scale) V^T, same
    scale. Directions without energy get B = 0 and a row of A as large as a fresh one: both zero could never learn.
    """
    check_rank(rank)
    if module.rank <= min(rank, *module.shape):
        return module, 0.0
    b, a = module.B.astype(np.float64), module.A.astype(np.float64)
    smaller, dropped, _ = _split(b, a, module.scale, rank)
    return smaller, dropped


def module_cut(module: Module, rank: int, how: Cut) -> Module:
    """A module of rank min(rank, d, k): by `module_truncate`, or just its first columns of B and rows of A.

    "fresh" is "best" by `module_fresh_split`. "first" loses more but keeps the basis, which averaging factors of mixed
    ranks needs (as in HetLoRA, arXiv 2401.06432). A module of no larger rank is returned unchanged.
    """
    if how != "first":
        smaller = module_truncate(module, rank)[0]
        return smaller if how == "best" or smaller is module else module_fresh_split(smaller)
    check_rank(rank)
    rank = min(rank, *module.shape)
    return module if module.rank <= rank else Module(module.B[:, :rank], module.A[:rank], module.scale)


def module_fresh_split(module: Module) -> Module:
    """The same delta W with rows of A of the norm of fresh ones, and what that takes from them in B's columns.

    A balanced split makes A as small as B, which is near zero after few rounds. The gradient of B is a product with A,
    and AdamW moves each number by about the same whatever its size, so where A is smaller, delta W moves less by it
    (inferred). A row of zeros stays.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", module.A, module.A, dtype=np.float64))
    times = np.where(norms > 0, norms / _FRESH_ROW_NORM, 1.0)
    return Module(to_float32(module.B * times), to_float32(module.A / times[:, None]), module.scale)


@dataclass(frozen=True)
class CutSource:
    """An adapter reduced by `module_cut`, one module at a time, on request."""

    source: ModuleSource
    ranks: Ranks
    how: Cut

    @property
    def names(self) -> Iterable[str]:
        return self.source.names

    def module(self, name: str) -> Module:
        return module_cut(self.source.module(name), rank_in(self.ranks, name), self.how)


def module_truncated_sum(terms: Sequence[tuple[float, Module]], rank: int) -> tuple[Module, float, float]:
    """Best approximation of rank min(rank, sum of ranks, d, k) to sum_i w_i delta W_i, energy dropped, whole energy.

    Like `module_weighted_sum` followed by `module_truncate`, but rounded to float32 only once and always with a
    balanced split. Raises UserFacingError if shapes differ.
    """
    check_rank(rank)
    return _split(*_stack(terms), rank)


def module_sum_energy(terms: Sequence[tuple[float, Module]]) -> float:
    """|sum_i w_i delta W_i|^2. Raises UserFacingError if shapes differ."""
    b, a, scale = _stack(terms)
    return (scale * product_norm(b, a)) ** 2


def module_grow(module: Module, rank: int, rng: np.random.Generator) -> Module:
    """Rank min(rank, d, k) with the same delta W: B padded with zeros, A with fresh Kaiming rows from `rng`.

    A module of no smaller rank is returned unchanged and draws nothing.
    """
    check_rank(rank)
    (d, k), extra = module.shape, min(rank, *module.shape) - module.rank
    if extra <= 0:
        return module
    b = np.concatenate([module.B, np.zeros((d, extra), np.float32)], axis=1)
    return Module(b, np.concatenate([module.A, kaiming_rows(rng, extra, k)]), module.scale)


def singular_values(module: Module) -> Float64:
    """Singular values of delta W, largest first; min(r, d, k) of them."""
    return np.asarray(np.linalg.svd(_core(module), compute_uv=False), dtype=np.float64)


def norm(x: Adapter) -> float:
    """Frobenius norm over all modules."""
    return math.hypot(*(module_norm(module) for module in x.values()))


def distance(x: Adapter, y: Adapter) -> float:
    """Frobenius norm of the difference over all modules."""
    return math.hypot(*distances(x, y).values())


def distances(x: Adapter, y: Adapter) -> dict[str, float]:
    """Frobenius norm of the difference of each module, by its name."""
    room = Room()
    check_same_modules(x, y)
    return {name: module_distance(module, y[name], room) for name, module in x.items()}


def weighted_sum(terms: Sequence[tuple[float, Adapter]]) -> Adapter:
    """sum_i w_i delta W_i, exact at any mix of ranks; see `module_weighted_sum`. Raises UserFacingError."""
    if not terms:
        raise ValueError("a weighted sum needs at least one term")
    for _, other in terms[1:]:
        check_same_modules(terms[0][1], other)
    modules = {}
    for name in terms[0][1]:
        with naming(name):
            modules[name] = module_weighted_sum([(weight, adapter[name]) for weight, adapter in terms])
    return Adapter(modules)


def truncate(adapter: Adapter, ranks: Ranks) -> tuple[Adapter, float]:
    """Every module by `module_truncate`, and the total energy (squared Frobenius norm) dropped."""
    results = {name: module_truncate(module, rank_in(ranks, name)) for name, module in adapter.items()}
    return Adapter({name: module for name, (module, _) in results.items()}), math.fsum(e for _, e in results.values())


def shrink(adapter: Adapter, ranks: Ranks) -> tuple[Adapter, float]:
    """Truncates as `truncate` does, but returns also the dropped share of the adapter's energy, in [0, 1]."""
    smaller, dropped = truncate(adapter, ranks)
    return smaller, min(1.0, dropped / norm(adapter) ** 2) if dropped else 0.0


def rank_of_energy(adapter: Adapter, share: float) -> int:
    """The smallest rank at which all modules together keep this share of their energy; 0 where there is none."""
    values = [singular_values(module) for module in adapter.values()]
    energy = np.zeros(max(len(sigma) for sigma in values))
    for sigma in values:
        energy[: len(sigma)] += sigma**2
    whole = float(energy.sum())
    if whole == 0:
        return 0
    return int(np.argmax(np.cumsum(energy) >= share * whole)) + 1


def grow(adapter: Adapter, ranks: Ranks, seed: int) -> Adapter:
    """Every module by `module_grow`; fresh rows from numpy PCG64(seed) in sorted order of names."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return Adapter({name: module_grow(module, rank_in(ranks, name), rng) for name, module in adapter.items()})


def at_scale(adapter: Adapter, scale: float) -> Adapter:
    """The adapter with this scale in every module and, to float32, the same delta W."""
    return adapter.map(lambda module: Module(module.B * np.float32(module.scale / scale), module.A, scale))


def effective_rank(adapter: Adapter) -> float:
    """Mean over modules of exp(entropy of sigma / sum sigma) (Roy and Vetterli 2007); 0 where delta W is 0."""
    return math.fsum(_effective_rank(singular_values(module)) for module in adapter.values()) / len(adapter)


def check_same_modules(x: Mapping[str, Module], y: Mapping[str, Module]) -> None:
    """Raises UserFacingError naming the first module that only one of them has, or whose shape differs."""
    check_same_shapes(
        {name: module.shape for name, module in x.items()}, {name: module.shape for name, module in y.items()}
    )


def check_same_shapes(x: Mapping[str, tuple[int, int]], y: Mapping[str, tuple[int, int]]) -> None:
    """`check_same_modules` for what is known of modules without their factors: name -> (d, k)."""
    if x.keys() != y.keys():
        raise UserFacingError("lora.modules_differ", name=min(x.keys() ^ y.keys()))
    for name in sorted(x):
        if x[name] != y[name]:
            raise _shapes_differ(name, x[name], y[name])


def _stack(terms: Sequence[tuple[float, Module]]) -> tuple[Float64, Float64, float]:
    """(B, A, scale) of the weighted sum in float64. The weights go into A alone; on both they would count twice."""
    if not all(math.isfinite(weight) for weight, _ in terms):
        raise ValueError("the weights of a sum must be finite")
    first = terms[0][1]
    for _, module in terms:
        if module.shape != first.shape:
            raise _shapes_differ("a module", first.shape, module.shape)
    scale = max(module.scale for _, module in terms)
    b = np.concatenate([module.B for _, module in terms], axis=1, dtype=np.float64)
    a = np.concatenate([weight * (module.scale / scale) * module.A.astype(np.float64) for weight, module in terms])
    return b, a, scale


def _split(b: Float64, a: Float64, scale: float, rank: int) -> tuple[Module, float, float]:
    """scale b a at rank min(rank, d, k) with a balanced split, the energy dropped and the whole energy."""
    from_b, r_b = _orthogonal(b)
    from_a, r_a = _orthogonal(a.T)
    u, sigma, vt = np.linalg.svd(r_b @ r_a.T)
    rank = min(rank, b.shape[1], len(sigma))
    dead = sigma[:rank] <= sigma[0] * max(b.shape[0], a.shape[1]) * np.finfo(np.float64).eps
    root = np.sqrt(np.where(dead, 0.0, sigma[:rank]))
    b = from_b(u[:, :rank]) * root
    a = np.where(dead, _FRESH_ROW_NORM, root)[:, None] * from_a(vt[:rank].T).T
    energy = scale**2 * sigma**2
    return Module(to_float32(b), to_float32(a), scale), float(np.sum(energy[rank:])), float(np.sum(energy))


def _orthogonal(matrix: Float64) -> tuple[Callable[[Float64], Float64], Float64]:
    """The thin QR of a matrix: what multiplies by Q, and R.

    By Cholesky twice (Fukaya et al. 2014, CholeskyQR2), which is as exact as Householder's QR where columns are not all
    but dependent, for a third of the time; otherwise by that.
    """
    sizes = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    if matrix.shape[0] >= matrix.shape[1] and sizes.all():
        with contextlib.suppress(np.linalg.LinAlgError):
            first = np.linalg.cholesky(matrix.T @ matrix / np.outer(sizes, sizes)).T * sizes
            nearly = matrix @ np.linalg.inv(first)
            rest = nearly.T @ nearly
            if np.abs(rest - np.eye(len(rest))).max() < _NEARLY:
                second = np.linalg.cholesky(rest).T
                return lambda x: nearly @ np.linalg.solve(second, x), second @ first
    q, r = np.linalg.qr(matrix)
    return lambda x: np.asarray(q @ x), r


def _core(module: Module) -> Float64:
    core: Float64 = module.scale * (_triangle(module.B) @ _triangle(module.A.T).T)
    return core


def _triangle(matrix: NDArray[Any]) -> Float64:
    """R of the thin QR."""
    return np.asarray(np.linalg.qr(matrix.astype(np.float64), mode="r"))


def _effective_rank(sigma: Float64) -> float:
    total = float(sigma.sum())
    if total == 0:
        return 0.0
    shares = sigma[sigma > 0] / total
    return math.exp(-float(np.sum(shares * np.log(shares))))


def _shapes_differ(name: str, x: tuple[int, int], y: tuple[int, int]) -> UserFacingError:
    return UserFacingError("lora.shapes_differ", name=name, left=str(x), right=str(y))
