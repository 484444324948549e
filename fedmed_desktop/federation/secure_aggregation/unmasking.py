# SPDX-License-Identifier: Apache-2.0
"""The coordinator's part in secure aggregation: from masked updates and the sites' shares to the sum, and no further.

Each survivor's self mask is taken away, and so is what it shares with each site that masked along but is not in the
sum. Between survivors masks cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from math import comb
from random import Random
from typing import Final

from ...arrays import np
from ...errors import UserFacingError
from .masks import Numbers, add_mask, pair_mask_key, public_of, self_mask_key, sign_between
from .shamir import joined
from .values import LEAST_SITES, Opening, Reveal, commitment, threshold_of

# Sets of shares that are tried where some of them are wrong. Inferred.
_MOST_TRIES: Final = 1000


def threshold(opening: Opening) -> int:
    """Number of sites that must give their shares."""
    return threshold_of(opening.masking.threshold, len(opening.keys))


def fits(opening: Opening, site: str, reveal: Reveal) -> bool:
    """Tells whether a site's shares are those that this sum needs, of the right sites and no others."""
    return (
        site in opening.members
        and reveal.self_masks.keys() == set(opening.survivors)
        and reveal.mask_keys.keys() == set(opening.members) - set(opening.survivors)
    )


def total(opening: Opening, masked: Iterable[Numbers], length: int) -> Numbers:
    """Sum of the survivors' numbers, in any order, without masks. Raises UserFacingError where shares are wrong.

    Holds the sum and one update at a time. Deterministic: whole numbers, whatever the order.
    """
    session, (seeds, mask_keys) = opening.session, _secrets(opening)
    found = np.zeros(length, dtype=np.uint32)
    for numbers in masked:
        found += numbers
    for seed in seeds.values():
        add_mask(found, self_mask_key(session, seed), -1)
    for lost, secret in mask_keys.items():
        for site in opening.survivors:
            key = pair_mask_key(session, secret, opening.keys[site].masking)
            add_mask(found, key, -sign_between(site, lost))
    if (bits := opening.masking.bits) < 32:
        found &= np.uint32(2**bits - 1)
    return found


def opens(opening: Opening) -> bool:
    """Tells whether the shares that are known give every secret that the sum needs."""
    try:
        _secrets(opening)
    except UserFacingError:
        return False
    return True


def _secrets(opening: Opening) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Seeds of the survivors' self masks, and mask keys of the sites that are lost. Raises UserFacingError."""
    if len(opening.survivors) < LEAST_SITES or len(opening.reveals) < threshold(opening):
        raise UserFacingError("secure.not_agreed", sites=len(opening.reveals), least=threshold(opening))
    lost = sorted(set(opening.members) - set(opening.survivors))
    return (
        {site: _seed(opening, site) for site in opening.survivors},
        {site: _mask_key(opening, site) for site in lost},
    )


def _seed(opening: Opening, site: str) -> bytes:
    shares = {name: reveal.self_masks[site] for name, reveal in opening.reveals.items()}
    known = opening.keys[site].commitment
    return _joined(opening, site, shares, lambda seed: commitment(opening.session, seed) == known)


def _mask_key(opening: Opening, site: str) -> bytes:
    shares = {name: reveal.mask_keys[site] for name, reveal in opening.reveals.items()}
    return _joined(opening, site, shares, lambda secret: public_of(secret) == opening.keys[site].masking)


def _joined(opening: Opening, site: str, shares: dict[str, str], is_it: Callable[[bytes], bool]) -> bytes:
    """The secret, from the first shares that give it: a few wrong ones cost time alone, while others are there."""
    order, needed = sorted(opening.keys), threshold(opening)
    for names in _sets(sorted(shares), needed):
        secret = joined({order.index(name) + 1: bytes.fromhex(shares[name]) for name in names})
        if secret is not None and is_it(secret):
            return secret
    raise UserFacingError("secure.wrong_shares", site=site, retryable=True)


def _sets(names: Sequence[str], needed: int) -> Iterator[Sequence[str]]:
    """Sets of so many names: all there are, or some by chance where they are very many.

    The first ones in order would nearly all have the first names in them: one wrong site could keep the sum shut.
    """
    if comb(len(names), needed) <= _MOST_TRIES:
        return combinations(names, needed)
    chance = Random(0)  # nothing secret
    return (chance.sample(names, needed) for _ in range(_MOST_TRIES))
