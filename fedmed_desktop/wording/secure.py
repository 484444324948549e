# SPDX-License-Identifier: Apache-2.0
"""Sentences about secure aggregation."""

from typing import Final

SENTENCES: Final = {
    "secure.adaptive_needs_each": "{path}: adaptive_fedlora gives each site a rank by what its own update did, which "
    "a sum does not show. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].",
    "secure.asks_all_sites": "{path}: with secure aggregation all sites take part in every round, since they mask "
    "together. Take out round.clients.",
    "secure.broken_seal": "What {site} encrypted for this site cannot be opened: it was changed on the way, or the "
    "keys are not {site}'s. Nothing was sent in this round. Ask whoever hosts the federation.",
    "secure.changed_sites": "The coordinator names other sites than it did earlier in the same round. Nothing was "
    "revealed. Ask whoever hosts the federation.",
    "secure.fedex_needs_each": "{path}: fedex adds what averaging the factors misses, and that is made of the single "
    "updates. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].",
    "secure.fednova_needs_steps": "{path}: fednova weighs an update by the steps of all sites, which are known only "
    "when all updates are there; a site masks its own before that. Choose fed_medlora or fedavg with "
    "training.epochs, or take out [secure_aggregation].",
    "secure.masked_travels_whole": "{path}: masks fill all bits of each number, so masked updates cannot be rounded. "
    "Take out [transfer], or [secure_aggregation].",
    "secure.no_largest_weight": "{path}: sites scale their updates by the largest weight that any of them can have. "
    "Write secure_aggregation.largest_weight: the most training notes of a site, or with fed_medlora the most "
    "supervised tokens, with some margin.",
    "secure.not_agreed": "Only {sites} sites have agreed on what is summed, and {least} are needed before it can be "
    "opened.",
    "secure.not_carried": "Round {round} cannot be carried by removable medium: its updates are masked, and for that "
    "all sites exchange messages several times. Connect this site, or ask the host for a federation without secure "
    "aggregation.",
    "secure.not_my_keys": "The coordinator names other keys for this site than the site has made. Nothing was sent "
    "in this round. Ask whoever hosts the federation.",
    "secure.other_sites": "{site} was not among the sites that began together, or has another key now. With secure "
    "aggregation the sites stay the same throughout. Nothing was sent in this round; ask whoever hosts the federation.",
    "secure.out_of_order": "The coordinator asked for the steps of secure aggregation in the wrong order. Nothing "
    "was revealed.",
    "secure.product_needs_each": "{path}: a product is formed of each site's own two factors, which a sum does not "
    'show. Write combine = "factors" with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].',
    "secure.quorum_of_three": "{path}: from the sum of two updates, each of the two sites can work out the other's. "
    "Write round.quorum = 3 or more, or take out [secure_aggregation].",
    "secure.same_keys": "Two sites are said to have the same key, so one of them does not exist. Nothing was sent in "
    "this round. Ask whoever hosts the federation.",
    "secure.scaffold_sends_two": "{path}: scaffold's sites send a second adapter beside the first, the change of a "
    "control variate, for which there is no mask. Choose fedprox or fedavg, or take out [secure_aggregation].",
    "secure.scored_at_coordinator": "{path}: the coordinator would have to read each update to score it. Write "
    'method.measured_by = "sites", or take out [secure_aggregation].',
    "secure.screening_needs_each": "{path}: screening compares single updates, and with secure aggregation there are "
    "none to compare. Take out [screening], or [secure_aggregation].",
    "secure.second_sum": "The coordinator asks for a second sum in the same round. This site takes part in "
    "another one, and from two together a single update could be worked out. Nothing was revealed.",
    "secure.second_update": "The coordinator asks for a second masked update in round {round}. From two together what "
    "masks hide could be worked out. Nothing was sent anew; ask whoever hosts the federation.",
    "secure.stack_needs_each": "{path}: a stack holds each site's own factors side by side, which a sum does not "
    'show. Write combine = "factors" with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].',
    "secure.too_few_sites": "Only {sites} sites mask together, and {least} are needed: from a sum of fewer, a single "
    "update could be worked out.",
    "secure.too_heavy": "This site would weigh {weight}, more than the {largest} that the federation was founded for. "
    "Take part with fewer notes, or ask the host to found one with a larger secure_aggregation.largest_weight.",
    "secure.unsigned_keys": "The keys that the coordinator names for {site} are not signed by {site} for this round. "
    "Nothing was sent in it. Ask whoever hosts the federation.",
    "secure.waits_for_sites": "Round {round} is closed, and only the sites can open the sum of its updates: {sites} "
    "of them are connected or have answered, and {least} are needed. It continues by itself once they are back.",
    "secure.wrong_shares": "The sum cannot be opened yet: some of the shares that sites have sent for {site} are "
    "wrong. It is tried again with those of the sites that have not answered.",
}
