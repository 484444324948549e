# SPDX-License-Identifier: Apache-2.0
"""Sentences about the screening of updates before they are combined."""

from typing import Final

SENTENCES: Final = {
    "screening.clipped": "The update changes the model by {norm}, more than the bound of {limit}. It was shortened to "
    "the bound. Ask the site whether its notes or its training have changed.",
    "screening.control_variates": "{path}: scaffold's control variates come with the updates and would no longer fit "
    'the sites if an update were shortened or left out. Write screening.action = "tell" and '
    'screening.robust = "mean", or choose another method.',
    "screening.cosine": "The update points away from the others: its cosine with their mean is {cosine}, below "
    "{least}. It still counts. Ask the site what its notes are about; unusual notes are no fault.",
    "screening.norm": "The update changes the model by {norm}, more than the bound of {limit}. It counts as it is. Ask "
    "the site whether its notes or its training have changed.",
    "screening.not_chosen": "The update was not combined: among {updates}, others are closer to one another (Krum). "
    "Its site takes part in the next round as before.",
    "screening.own_factors": "{path}: in fedsa half of each model stays at its site, so the size and the direction "
    "of its update cannot be known. Take out [screening], or choose another method.",
    "screening.too_few_for_cosine": "Directions were not compared, as there are only {updates} updates: three are "
    "needed.",
    "screening.too_few_for_krum": "There are only {updates} updates, too few for Krum, which needs two for each site "
    "that may be wrong and three more. They were combined by their usual weights.",
    "screening.too_few_for_norm": "Norms were not compared, as only {updates} updates are known: three are needed.",
    "screening.too_few_to_trim": "There are only {updates} updates, too few to leave out any of their values. They "
    "were combined by their usual weights.",
    "screening.trimmed": "{share} % of the update's values were left out, as the largest or the smallest at their "
    "position; with honest sites it is about the same for all.",
    "screening.trimmed_needs_one_factor": "{path}: a trimmed mean needs sites that train one factor and have the other "
    "in common, else a single value means something different at each. Choose the method ffa or rolora, or write "
    'screening.robust = "multi_krum" or screening.action = "clip".',
}
