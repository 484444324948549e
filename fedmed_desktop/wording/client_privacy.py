# SPDX-License-Identifier: Apache-2.0
"""Sentences about the protection of whole sites: what it will cost, told in advance, and what is refused."""

from typing import Final

_PROMISE: Final = (
    "Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the "
    "smaller the better."
)
_COORDINATOR: Final = f"{_PROMISE} The coordinator adds the noise and sees every update as it is."
_SITES: Final = f"{_PROMISE} Each site adds its share of the noise to what it masks, so that nobody sees it without."
_COST: Final = (
    "All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean "
    "update can be"
)

SENTENCES: Final = {
    "client_privacy.coordinator_little": f"{_COORDINATOR} {_COST}.",
    "client_privacy.coordinator_much": f"{_COORDINATOR} {_COST}: expect to learn slowly, and little.",
    "client_privacy.coordinator_buried": f"{_COORDINATOR} {_COST}: most likely nothing would be learned.",
    "client_privacy.sites_little": f"{_SITES} {_COST}.",
    "client_privacy.sites_much": f"{_SITES} {_COST}: expect to learn slowly, and little.",
    "client_privacy.sites_buried": f"{_SITES} {_COST}: most likely nothing would be learned.",
    "client_privacy.buried": "{path}: most likely nothing would be learned. With {sites} sites and {values} values, "
    "the noise that hides a whole site would be, in each round, about {times} times as large as the sites' mean "
    "update can be. Protect single notes or patients instead ([training.privacy]), or use many more sites, a "
    "smaller rank, the method ffa, or a larger epsilon. To try it anyway, write accept_noise = true under "
    "[client_privacy].",
    "client_privacy.histogram": "{path}: the noise hides a whole site in the adapter, but a histogram of its "
    'training notes would leave beside it as exact counts. Write histogram = "none" (in a federation under '
    "[share]), or take out [client_privacy].",
    "client_privacy.ledger_lost": "The record of the sums that noise was added to ({path}) has {found} rounds, but "
    "{least} were combined: it was lost, or is an old copy. Nothing is combined, because nobody could tell how "
    "much of the privacy budget is spent. Put the newest copy back.",
    "client_privacy.masked": "{path}: a coordinator that adds the noise must see single updates. Write added_by = "
    '"sites" under [client_privacy], so that each site adds its share before it masks, or take out '
    "[secure_aggregation].",
    "client_privacy.no_plain_sum": "{path}: noise can hide a whole site only in a plain mean of what each site sends "
    "once a round. Choose fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora or "
    'fedopal with combine = "factors", or take out [client_privacy].',
    "client_privacy.no_room": "The round is not combined, because too little of the privacy budget for whole sites "
    "is left: {spent} of epsilon {epsilon} is spent, and {rounds} more sums would need so much noise that nothing "
    "could be learned. More sums were made than the federation has rounds, so an old copy of this folder was put "
    "back. Start another federation from its last adapter.",
    "client_privacy.screening": "{path}: screening judges each update by the others, so one site could affect more "
    "of the result than its own part. Take out [screening], or [client_privacy].",
    "client_privacy.unmasked": "{path}: sites add shares of the noise only where masks hide each share. Write "
    'added_by = "coordinator" under [client_privacy], or switch [secure_aggregation] on.',
    "client_privacy.weighs_by_loss": "{path}: where whole sites are hidden every site counts the same, and "
    "fed_medlora_plus weighs them by their losses. Choose fed_medlora, or take out [client_privacy].",
}
