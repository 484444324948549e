# SPDX-License-Identifier: Apache-2.0
"""A site's part in secure aggregation (Bonawitz et al. 2017, figure 4, in the variant against an active coordinator).

    keys -> shared(peers) -> received(boxes) -> mask(numbers) -> agree(survivors) -> reveal(agreements)

What it must remember is `secrets`: whoever drives it writes that to the disk before anything of what follows leaves,
and makes a new `Masker` of it after a restart. Each step may be asked for again and then answers the same; another
answer than before, or a step out of order, is refused. So whatever a coordinator says, a site shares its secrets among
one set of sites, agrees to one sum, and gives for each peer one kind of share.

Beyond the paper: a site masks with all among whom secrets are shared or not at all, and a seal opens only where both
were told the same keys. Were a site told of fewer peers than the others, those could open the masks with just these.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from ...errors import UserFacingError
from ...identity import PrivateKey
from ..plan import Masking
from .masks import (
    Numbers,
    add_mask,
    is_usable,
    pair_mask_key,
    public_of,
    sealed,
    self_mask_key,
    sign_between,
    unsealed,
)
from .shamir import SECRET_BYTES, SHARE_BYTES, Random, split
from .values import (
    LEAST_SITES,
    MOST_SITES,
    Keys,
    Reveal,
    SealedShares,
    Secret,
    Session,
    Share,
    agreed,
    agrees,
    commitment,
    roster,
    threshold_of,
)


class Secrets(BaseModel):
    """All that a site must remember of a session, and must never tell.

    `peers`: the keys of all that share secrets, this site among them; `boxes`: what it has sealed for each other;
    `held`: each peer's shares that it keeps, of the mask key and of the self mask's seed. `agreed`: the sum.
    """

    model_config = ConfigDict(extra="forbid")

    session: Session
    masking: Masking
    sealing: Secret = Field(repr=False)
    mask_key: Secret = Field(repr=False)
    seed: Secret = Field(repr=False)
    keys: Keys
    peers: dict[str, Keys] = {}
    boxes: dict[str, SealedShares] = {}
    own: tuple[Share, Share] | None = Field(None, repr=False)
    held: dict[str, tuple[Share, Share]] = Field({}, repr=False)
    agreed: tuple[str, ...] = ()
    reveal: Reveal | None = None


class Masker:
    """One site in one session. Not thread-safe. Raises UserFacingError for whatever it refuses."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets

    @classmethod
    def begin(cls, site: str, key: PrivateKey, session: Session, masking: Masking, random: Random) -> Masker:
        """Fresh secrets for a session; `key` is the site's identity."""
        sealing, mask_key, seed = (random(SECRET_BYTES) for _ in range(3))
        keys = Keys.signed(
            key,
            session,
            site=site,
            sealing=public_of(sealing),
            masking=public_of(mask_key),
            commitment=commitment(session, seed),
        )
        secret = {"sealing": sealing.hex(), "mask_key": mask_key.hex(), "seed": seed.hex()}
        return cls(Secrets(session=session, masking=masking, keys=keys, **secret))

    @property
    def keys(self) -> Keys:
        """Public keys, which the others are told first."""
        return self.secrets.keys

    @property
    def site(self) -> str:
        return self.secrets.keys.site

    @property
    def members(self) -> tuple[str, ...]:
        """The sites that mask together; none before their shares are here."""
        return tuple(sorted(self.secrets.held))

    @property
    def threshold(self) -> int:
        return threshold_of(self.secrets.masking.threshold, len(self.secrets.peers))

    @property
    def least(self) -> int:
        """Number of sites that are in any sum that this one helps to open."""
        return max(LEAST_SITES, self.threshold)

    # -- who takes part ----------------------------------------------------------------------------------------------

    def shared(self, peers: Mapping[str, Keys], known: Mapping[str, str], random: Random) -> dict[str, SealedShares]:
        """A box for each other site, with shares of this one's secrets.

        `known`: identities of the sites that began together. None may be new, none may have changed.
        """
        mine = self.secrets
        if mine.peers:
            if dict(peers) != mine.peers:
                raise UserFacingError("secure.changed_sites")
            return mine.boxes
        self._check_peers(peers, known)
        order = sorted(peers)
        needed = threshold_of(mine.masking.threshold, len(order))
        of_key = split(bytes.fromhex(mine.mask_key), needed, len(order), random)
        of_seed = split(bytes.fromhex(mine.seed), needed, len(order), random)
        boxes: dict[str, SealedShares] = {}
        among = roster(peers)
        for name, one, other in zip(order, of_key, of_seed, strict=True):
            if name == self.site:
                mine.own = one.hex(), other.hex()
                continue
            secret, to = bytes.fromhex(mine.sealing), peers[name].sealing
            boxes[name] = sealed(mine.session, secret, to, (self.site, name), among, one + other, random).hex()
        mine.peers, mine.boxes = dict(peers), boxes
        return boxes

    def _check_peers(self, peers: Mapping[str, Keys], known: Mapping[str, str]) -> None:
        if not LEAST_SITES <= len(peers) <= MOST_SITES:
            raise UserFacingError("secure.too_few_sites", sites=len(peers), least=LEAST_SITES)
        if peers.get(self.site) != self.keys:
            raise UserFacingError("secure.not_my_keys")
        for name, keys in sorted(peers.items()):
            if keys.site != name or not keys.are_of(self.secrets.session):
                raise UserFacingError("secure.unsigned_keys", site=name)
            if known.get(name) != keys.identity:
                raise UserFacingError("secure.other_sites", site=name)
            for theirs in (keys.sealing, keys.masking):
                if not is_usable(theirs):
                    raise UserFacingError("secure.unsigned_keys", site=name)
        for kind in ("identity", "sealing", "masking"):
            if len({getattr(keys, kind) for keys in peers.values()}) < len(peers):
                raise UserFacingError("secure.same_keys")

    def received(self, boxes: Mapping[str, SealedShares]) -> None:
        """Opens what all the others have sealed for this site; where one has sealed nothing, it masks with none."""
        mine = self.secrets
        if mine.own is None or not boxes.keys() <= mine.peers.keys() - {self.site}:
            raise UserFacingError("secure.changed_sites")
        if mine.held:
            if boxes.keys() != mine.held.keys() - {self.site}:
                raise UserFacingError("secure.changed_sites")
            return
        if len(boxes) + 1 < len(mine.peers):
            raise UserFacingError("secure.too_few_sites", sites=len(boxes) + 1, least=len(mine.peers))
        held, among = {self.site: mine.own}, roster(mine.peers)
        for name, box in boxes.items():
            secret, of = bytes.fromhex(mine.sealing), mine.peers[name].sealing
            plain = unsealed(mine.session, secret, of, (name, self.site), among, bytes.fromhex(box))
            if plain is None or len(plain) != 2 * SHARE_BYTES:
                raise UserFacingError("secure.broken_seal", site=name)
            held[name] = plain[:SHARE_BYTES].hex(), plain[SHARE_BYTES:].hex()
        mine.held = held

    # -- the update --------------------------------------------------------------------------------------------------

    def mask(self, numbers: Numbers) -> None:
        """Masks an update in place. Only one masked update of a session may ever leave: see `Outbox`."""
        mine = self.secrets
        if not mine.held:
            raise UserFacingError("secure.out_of_order")
        add_mask(numbers, self_mask_key(mine.session, bytes.fromhex(mine.seed)))
        secret = bytes.fromhex(mine.mask_key)
        for name in self.members:
            if name != self.site:
                key = pair_mask_key(mine.session, secret, mine.peers[name].masking)
                add_mask(numbers, key, sign_between(self.site, name))

    # -- opening the sum ---------------------------------------------------------------------------------------------

    def agree(self, key: PrivateKey, survivors: tuple[str, ...]) -> str:
        """Signs that shares may be given for the sum of these; for the first such request of a session only."""
        mine = self.secrets
        if not mine.held:
            raise UserFacingError("secure.out_of_order")
        if survivors != tuple(sorted(set(survivors) & mine.held.keys())):
            raise UserFacingError("secure.changed_sites")
        if mine.agreed and mine.agreed != survivors:
            raise UserFacingError("secure.second_sum")
        if len(survivors) < self.least:
            raise UserFacingError("secure.too_few_sites", sites=len(survivors), least=self.least)
        mine.agreed = survivors
        return agreed(key, mine.session, survivors)

    def reveal(self, agreements: Mapping[str, str]) -> Reveal:
        """Reveals shares, once so many sites have signed the same sum as this one that no second one can be opened."""
        mine = self.secrets
        if not mine.agreed:
            raise UserFacingError("secure.out_of_order")
        signed = [
            name
            for name, signature in agreements.items()
            if name in mine.held and agrees(mine.peers[name].identity, mine.session, mine.agreed, signature)
        ]
        if len(signed) < self.threshold:
            raise UserFacingError("secure.not_agreed", sites=len(signed), least=self.threshold)
        in_sum = set(mine.agreed)
        mine.reveal = Reveal(
            self_masks={name: seed for name, (_, seed) in mine.held.items() if name in in_sum},
            mask_keys={name: key for name, (key, _) in mine.held.items() if name not in in_sum},
        )
        return mine.reveal
