# SPDX-License-Identifier: Apache-2.0
"""Sentences about methods of combining, and the settings that do not go together with one."""

from typing import Final

SENTENCES: Final = {
    "methods.adaptive_needs_product": "{path}: in adaptive_fedlora sites have different ranks and each starts from a "
    "matrix cut to its rank in its own basis, so averaging the factors would mix values that do not belong together. "
    'Write combine = "product" or "stack".',
    "methods.fedex_is_exact": "{path}: fedex averages the factors and adds the part that this misses; a product or a "
    'stack misses nothing. Write combine = "factors", or choose flexlora or flora.',
    "methods.fednova_needs_start": "{path}: fednova continues from where the round started, but a stack starts afresh "
    'in each round. Write combine = "factors" or "product".',
    "methods.fedrot_needs_factors": "{path}: fedrot rotates the factors without changing their product, so it only "
    'makes a difference when factors are averaged. Write combine = "factors", or choose fedavg.',
    "methods.fedrot_turns_moments": "{path}: with fedrot each site turns its factors before they leave, so the "
    "optimiser's moments of one round would not fit the factors of the next. Take out training.keep_moments, or choose "
    "fedavg.",
    "methods.fedsa_has_no_product": "{path}: fedsa keeps B at the sites, so there is no product to combine or stack. "
    'Write combine = "factors".',
    "methods.ffa_keeps_a": "{path}: ffa keeps one A for the whole federation, which makes averaging exact; a product "
    'or a stack would replace A. Write combine = "factors".',
    "methods.flexlora_is_product": '{path}: flexlora averages products. Write combine = "product", or choose fedavg.',
    "methods.flora_is_stack": '{path}: flora stacks the updates. Write combine = "stack", or choose fedavg.',
    "methods.frozen_travels_whole": "{path}: with fedex, and where updates are stacked, most of what sites download "
    "is a frozen part beside the common adapter, and that is always sent in float32. Take out transfer.down, or "
    "choose another method.",
    "methods.importance_fetches_whole": "{path}: where ranks follow importance, a site's matrices have ranks of their "
    "own, and the common adapter is not cut to these before it is fetched. Take out transfer.cut, or write ranks_by = "
    '"site".',
    "methods.importance_needs_product": "{path}: a stack gives each round a fresh adapter, in which no matrix has yet "
    'shown what it is worth. Write combine = "product", or ranks_by = "site".',
    "methods.moments_need_factors": "{path}: with training.keep_moments the optimiser continues with the moments of "
    "the last round, but a product or a stack gives each round factors of another basis. Write combine = "
    '"factors", or take out training.keep_moments.',
    "methods.needs_histogram": "{path}: this method weights sites by what their notes are about. Write "
    'share.histogram = "specialties" (or "types"), or set its semantic weight to 0.',
    "methods.no_histogram": "The update's report does not say how many notes of each specialty (or entities of each "
    "type) the site has, which the method needs. Add the specialties to the site's notes, or leave the federation.",
    "methods.no_shared_notes": '{path}: with measured_by = "sites" each site measures its model on notes that everyone '
    'may read. Add [[shared_notes]], or write measured_by = "coordinator" and start it with --score-with.',
    "methods.no_shared_loss": "The update's report does not contain the loss on the federation's shared notes, which "
    "decides its weight. Give this site the shared notes.",
    "methods.rolora_needs_factors": "{path}: rolora freezes one factor in each round, which makes averaging exact; a "
    'product or a stack would change both factors. Write combine = "factors".',
    "methods.rolora_has_old_moments": "{path}: rolora trains each factor in every other round while the other one "
    "changes, so kept moments would be those of factors that no longer exist. Take out training.keep_moments, or "
    "choose ffa.",
    "methods.scaffold_needs_factors": "{path}: scaffold's control variates are directions of A and B, which a product "
    'or a stack replaces with others. Write combine = "factors".',
    "methods.scaffold_needs_sgd": '{path}: scaffold with form = "sgd" computes gradients from the steps, which only '
    'works with SGD. Write form = "gradient", or training.optimizer = "sgd".',
    "methods.scaffold_travels_whole": "{path}: scaffold's control variates and the coordinator's must change by "
    "exactly the same numbers, so its updates are sent in float32 only. Take out [transfer], or choose another "
    "method.",
    "methods.server_optimizer_needs_factors": "{path}: fedavgm and fedadam keep means of how A and B have changed, and "
    'a product or a stack replaces A and B with others in each round. Write combine = "factors".',
    "methods.server_step_needs_start": "{path}: a server_step other than 1 continues from where the round started, "
    'but a stack starts afresh in each round. Write combine = "factors" or "product", or server_step = 1.',
    "methods.shared_notes_lack_labels": '{path}: with measured_by = "sites" each site measures its model on shared '
    "notes, which hold texts and entities, and none of the tasks is learned from these. Write measured_by = "
    '"coordinator" and start it with --score-with, choose another method, or add the task "entities".',
    "methods.stack_has_no_feedback": '{path}: with combine = "stack" each round starts afresh, so what rounding took '
    "from one update cannot be added to the next. Write transfer.feedback = false.",
    "methods.unknown": "There is no method {method}. Choose one of {known}.",
}
