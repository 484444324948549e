# SPDX-License-Identifier: Apache-2.0
"""Sentences about secure aggregation."""

from typing import Final

SENTENCES: Final = {
    "secure.broken_seal": "What {site} has sealed for this site cannot be opened: it was changed on the way, or the "
    "keys are not {site}'s. Nothing was sent in this round. Ask whoever hosts the federation.",
    "secure.changed_sites": "The coordinator names other sites than it did before in the same round. Nothing was given "
    "away. Ask whoever hosts the federation.",
    "secure.not_agreed": "Only {sites} sites have agreed on what is summed, and {least} are needed before it can be "
    "opened.",
    "secure.not_my_keys": "The coordinator tells other keys of this site than the site has made. Nothing was sent in "
    "this round. Ask whoever hosts the federation.",
    "secure.other_sites": "{site} was not among the sites that began together, or has another key now. With secure "
    "aggregation the sites stay the same throughout. Nothing was sent in this round; ask whoever hosts the federation.",
    "secure.out_of_order": "The coordinator asks for a step of secure aggregation before the one that comes first. "
    "Nothing was given away.",
    "secure.same_keys": "Two sites are said to have the same key, so one of them does not exist. Nothing was sent in "
    "this round. Ask whoever hosts the federation.",
    "secure.second_sum": "The coordinator asks to open a second sum in the same round. This site has agreed to another "
    "one, and from two together a single update could be found out. Nothing was given away.",
    "secure.too_few_sites": "Only {sites} sites mask together, and {least} are needed: from a sum of fewer, a single "
    "update could be found out.",
    "secure.too_heavy": "This site would weigh {weight}, more than the {largest} that the federation was founded for. "
    "Take part with fewer notes, or ask the host to found one with a larger secure_aggregation.largest_weight.",
    "secure.unsigned_keys": "The keys that the coordinator tells of {site} are not signed by {site} for this round. "
    "Nothing was sent in it. Ask whoever hosts the federation.",
    "secure.wrong_shares": "The sum cannot be opened yet: some of the shares that sites have sent for {site} are "
    "wrong. It is tried again with those of the sites that have not answered.",
}
