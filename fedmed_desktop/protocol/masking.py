# SPDX-License-Identifier: Apache-2.0
"""Messages of secure aggregation, part of the union in `messages`. In the order in which a round meets them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..bounds import PositiveInt
from ..federation.secure_aggregation import Keys, Reveal, SealedShares
from ..identity import PublicKey, Signature
from .fields import SiteName


class _MaskMessage(BaseModel):
    """Part of the masking of one round (federation.secure_aggregation), in its session `number`.

    What must be signed is so inside, by the sites themselves: a coordinator only carries it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: PositiveInt
    number: PositiveInt


class MaskAsk(_MaskMessage):
    """Coordinator: please make keys for the masking of this round."""

    type: Literal["mask_ask"] = "mask_ask"


class MaskKeys(_MaskMessage):
    """Site: its keys."""

    type: Literal["mask_keys"] = "mask_keys"
    keys: Keys


class MaskPeers(_MaskMessage):
    """Coordinator: the keys of all that mask together, and the identities of all sites that began together."""

    type: Literal["mask_peers"] = "mask_peers"
    keys: dict[str, Keys]
    sites: dict[SiteName, PublicKey]  # shown to a person


class MaskShares(_MaskMessage):
    """Site: for each of the others a box that only that one can open."""

    type: Literal["mask_shares"] = "mask_shares"
    boxes: dict[str, SealedShares]


class MaskBoxes(_MaskMessage):
    """Coordinator: what the others have sealed for this site."""

    type: Literal["mask_boxes"] = "mask_boxes"
    boxes: dict[str, SealedShares]


class MaskSurvivors(_MaskMessage):
    """Coordinator: the round is closed; the sites whose updates are in the sum."""

    type: Literal["mask_survivors"] = "mask_survivors"
    survivors: tuple[str, ...]


class MaskAgreement(_MaskMessage):
    """Site: its signature that this sum may be opened."""

    type: Literal["mask_agreement"] = "mask_agreement"
    agreement: Signature


class MaskAgreements(_MaskMessage):
    """Coordinator: the signatures of enough sites."""

    type: Literal["mask_agreements"] = "mask_agreements"
    agreements: dict[str, Signature]


class MaskReveal(_MaskMessage):
    """Site: its shares, which open the sum together with those of others."""

    type: Literal["mask_reveal"] = "mask_reveal"
    reveal: Reveal


ToMasker = MaskAsk | MaskPeers | MaskBoxes | MaskSurvivors | MaskAgreements
