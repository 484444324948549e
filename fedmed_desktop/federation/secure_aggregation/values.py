# SPDX-License-Identifier: Apache-2.0
"""Values of secure aggregation: its settings, and everything that sites and coordinator tell each other in it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from ...bounds import PositiveFloat, PositiveInt
from ...identity import PrivateKey, PublicKey, Signature, canonical, is_signed
from ..plan import Masking
from ..values import Frozen, Sha256

# Of two, each learns the other's update from the sum.
LEAST_SITES: Final = 3
# More shares than this would have to be tried, and sites greeted, than any federation of hospitals has. Inferred.
MOST_SITES: Final = 200

# The largest difference of a value from the exact average that fewer bits may cost, where sites weigh a hundredth of
# the largest weight on average. Sums modulo 2^32 were held to the same; both inferred.
EXACT: Final = 1e-5
LIGHT: Final = 0.01

Secret = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in hex."""

Share = Annotated[str, Field(pattern=r"^[0-9a-f]{66}$")]
"""One share of a secret (shamir.SHARE_BYTES) in hex."""

SealedShares = Annotated[str, Field(pattern=r"^[0-9a-f]{188}$")]
"""Two shares that only one peer can open: nonce (12 bytes), ciphertext (66) and tag (16) in hex."""


class SecureAggregationSettings(Frozen):
    """Sums of updates that the coordinator learns without any single one (Bonawitz et al. 2017); off by default.

    `threshold`: more than this share of the sites that mask together must answer before a sum can be opened. 0.5 holds
    against a coordinator that is alone, 2/3 also against one that shares secrets with fewer than a third of the sites.
    `clip`: no value of an update differs from the common adapter's by more than this; what does is cut to it.
    `largest_weight`: the most notes, or supervised tokens, that a site may have; must be given. A thousand times what
    sites really have costs three digits of the sum. `exchange_minutes`: how long a round waits for the sites' keys, and
    then for their shares, before it goes on with those that are there. All inferred.
    """

    on: bool = False
    threshold: float = Field(0.5, ge=0.5, lt=1)
    clip: PositiveFloat = 0.5
    largest_weight: PositiveInt | None = None
    exchange_minutes: float = Field(60.0, gt=0, le=5_256_000)

    def masking(self, sites: int) -> Masking | None:
        """Settings that go into a plan for so many sites; None where updates travel as they are."""
        if not self.on or self.largest_weight is None:
            return None
        bits = bits_of(self.clip, sites)
        return Masking(clip=self.clip, largest_weight=self.largest_weight, threshold=self.threshold, bits=bits)


def bits_of(clip: float, sites: float, light: float = LIGHT) -> Literal[24, 28, 32]:
    """The fewest bits of a number with which the average of so many updates of such a weight is exact to EXACT."""
    choices: tuple[Literal[24, 28], ...] = (24, 28)
    return next((bits for bits in choices if clip * sites / 2**bits <= EXACT * light), 32)


def room_for(masking: Masking, sites: int, least: int) -> int:
    """Clips that a sum of so many sites may come to: of their values, and of the noise that all of them add."""
    if masking.noise_multiplier is None:
        return sites
    # Nine standard deviations: beyond them a sum would be taken for its opposite, once in 10^18 values.
    return sites + math.ceil(9 * masking.noise_multiplier * math.sqrt(sites / (least - 1)))


def threshold_of(share: float, many: int) -> int:
    """Number of sites out of so many that must answer: more than the share, so always more than half."""
    return min(many, int(share * many + 1e-9) + 1)


class Session(Frozen):
    """Tie of masks to the federation, the round, and the layout of what is summed (see `Layout`).

    `number`: sessions of a round are counted. The next one begins where too few of those that had made keys shared
    their secrets; then nobody can have masked anything.
    """

    federation: Sha256
    round: PositiveInt
    layout: Sha256
    number: PositiveInt = 1

    @property
    def binding(self) -> bytes:
        """32 bytes in every key, seal and signature of the session."""
        return hashlib.sha256(canonical("masking session", self.model_dump())).digest()


class Keys(Frozen):
    """A site's two X25519 keys for one session, signed with its identity. `commitment`: of the seed of its self mask.

    `sealing` is for the shares that others are to keep, `masking` for the masks between two sites.
    """

    site: str = Field(min_length=1, max_length=200)
    identity: PublicKey
    sealing: PublicKey
    masking: PublicKey
    commitment: Sha256
    signature: Signature

    @classmethod
    def signed(cls, key: PrivateKey, session: Session, **about: str) -> Keys:
        unsigned = cls(identity=key.public, signature="0" * 128, **about)
        return unsigned.model_copy(update={"signature": key.sign("mask keys", unsigned._said(session))})

    def are_of(self, session: Session) -> bool:
        """Tells whether their owner made them for this session."""
        return is_signed(self.identity, "mask keys", self._said(session), self.signature)

    def _said(self, session: Session) -> dict[str, str]:
        about = self.model_dump(exclude={"signature", "identity"})
        return {"session": session.binding.hex(), **about}


class Reveal(Frozen):
    """One site's shares that open a sum: of the self masks of those in it, and of the mask keys of those that are not.

    Never both for one site.
    """

    self_masks: dict[str, Share] = Field(max_length=MOST_SITES)
    mask_keys: dict[str, Share] = Field(max_length=MOST_SITES)


class Opening(Frozen):
    """All that a coordinator knows of a session once its sum can be opened.

    `keys`: of the sites among which secrets were shared; they are the `members`, which masked together, and `survivors`
    of those are in the sum.
    """

    session: Session
    masking: Masking
    keys: dict[str, Keys]
    members: tuple[str, ...]
    survivors: tuple[str, ...]
    reveals: dict[str, Reveal]


def roster(peers: Mapping[str, Keys]) -> bytes:
    """32 bytes in each seal, so that it opens only where all the same keys were named to sender and receiver."""
    keys = {name: one.model_dump_json() for name, one in peers.items()}
    return hashlib.sha256(canonical("mask roster", keys)).digest()


def commitment(session: Session, seed: bytes) -> str:
    """Hash that a self mask's seed is recognised by."""
    return hashlib.sha256(b"self mask" + session.binding + seed).hexdigest()


def agreed(key: PrivateKey, session: Session, survivors: Iterable[str]) -> str:
    """Signature of a site that gives its shares for the sum of these, and of no others."""
    return key.sign("mask survivors", _survivors(session, survivors))


def agrees(identity: str, session: Session, survivors: Iterable[str], signature: str) -> bool:
    return is_signed(identity, "mask survivors", _survivors(session, survivors), signature)


def _survivors(session: Session, survivors: Iterable[str]) -> Mapping[str, str]:
    names = canonical("names", dict.fromkeys(survivors, 1))
    return {"session": session.binding.hex(), "survivors": hashlib.sha256(names).hexdigest()}
