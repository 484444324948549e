# SPDX-License-Identifier: Apache-2.0
"""Sentences about a federation's specification, its base model, its plans and the updates that sites send."""

from typing import Final

SENTENCES: Final = {
    "combine.mixed_scales": "Module {module} has different scales at different sites, so its factors cannot be "
    'averaged. Write combine = "product" in the federation\'s specification.',
    "model.changed": "Files of the model in {path} changed while the program was about to load it. Start again; the "
    "program will then check the model again.",
    "model.conv1d": "The model in {path} cannot be adapted: the layers of {kind} models are of the type Conv1D "
    "instead of linear layers (torch's Linear). Choose another base model.",
    "model.damaged": "The model file {path} is damaged: {reason}. Download the model again.",
    "model.encoder_decoder": "The model in {path} cannot be adapted: {kind} models have an encoder and a decoder. "
    "Choose a causal language model, which continues a text.",
    "model.incomplete": "The model in {path} is incomplete: {file} is missing, which its index names. Download the "
    "model again.",
    "model.layer_differs": "The model in {path} cannot be adapted: {name} is {found} in its files, but its config.json "
    "makes it {expected}. Download the model again, or choose another.",
    "model.needs_torch": "The model in {path} names its layers in its files otherwise than once it is loaded, so "
    "torch is needed to found a federation on it. Install fedmed-desktop[site] on this computer, or found the "
    "federation on a computer that has it and copy the folder.",
    "model.no_prefix": "The model in {path} cannot be adapted: its layers have names like {name}, without the prefix "
    "of a whole model, so it was saved without its head. Choose the whole model, saved by transformers' "
    "AutoModelForCausalLM.",
    "model.not_linear": "The model in {path} cannot be adapted: {name} is not a linear layer once the model is "
    "loaded ({found}). Choose another base model.",
    "model.not_run": "The model in {path} cannot be adapted: it cannot process text with adapters on its layers "
    "({reason}). Choose another base model.",
    "model.own_state": "The model in {path} cannot be adapted: {kind} models keep what they have read in an internal "
    "state of a special kind, which this program cannot continue from when it scores notes. Choose a base model "
    "with attention, such as Llama, Qwen, Gemma, Mistral, Phi or Granite.",
    "model.quantised": "The model in {path} cannot be adapted: its weights are already quantised ({method}). Choose "
    "the same model with 16- or 32-bit weights; each site may still load it in 4 bits (--nf4).",
    "model.reads_ahead": "The model in {path} cannot be adapted: {kind} models read text in both directions, so during "
    "training they would see the answer that they should learn. Choose a causal language model, which continues a "
    "text.",
    "model.shared_layers": "The model in {path} cannot be adapted: {kind} models use the same layers in several "
    "places. Choose another base model.",
    "model.with_adapter": "The model folder {path} also contains an adapter ({file}), which would be loaded "
    "unnoticed as part of the base model. Move the adapter's files to a separate folder.",
    "model.no_file": "{path} is not a model folder: it has no {file}. Choose the folder of the language model that "
    "the host agreed on with you (in Hugging Face's format).",
    "model.no_folder": "There is no model folder at {path}. Check the path.",
    "model.no_linears": "The model in {path} has no linear layers inside decoder blocks, so it cannot be adapted. "
    "Choose another base model.",
    "plan.not_of_spec": "In round {round} the coordinator asks for something other than what the federation's "
    "specification says about {method}. Nothing is trained and nothing leaves this site. Tell the host of the "
    "federation; the coordinator and the sites must use the same program.",
    "plan.rank_over_cap": "In round {round} the coordinator asks for rank {rank}, but this site's limit is {cap} "
    "(--rank-cap). The site takes part again when the coordinator asks for a lower rank.",
    "spec.begins_with_rank": "The starting adapter has rank {rank}, but the federation allows at most {most}. Give "
    "the federation rank {rank} or more (--rank).",
    "spec.exists": "{path} already exists. Choose another --out folder; an existing federation is never overwritten.",
    "spec.missing": "There is no federation specification at {path}. Check the path; the host writes the file with "
    "--new-federation.",
    "spec.unreadable": "The federation specification {path} cannot be read: {reason}.",
    "spec.wrong_key": "{path}: {key}: {reason}. Correct this key and start again.",
    "update.foreign_type": "The update's report has scores for tasks, types or measures that are not part of this "
    "federation.",
    "update.foreign_module": "The update adapts {module}, which is not part of this federation.",
    "update.missing_module": "The update does not adapt {module}, which is part of this federation.",
    "update.no_shared_loss": "The update's model has no finite loss on the coordinator's notes, so it cannot be "
    "given a weight. Training may have diverged; lower the learning rate and train again.",
    "update.not_asked": "This site was not asked for an update in this round.",
    "update.not_masked": "The update is not the {expected} bytes of masked numbers that the plan asked for; it has "
    "{size} bytes.",
    "update.not_here": "The site no longer has this update, so it cannot be fetched.",
    "update.round_closed": "The round had already closed when the update arrived. The adapter stays at the site.",
    "update.second": "An update from this site already counts in this round. A second one is not accepted.",
    "update.other_plan": "The update answers another plan than the one this site has in this round.",
    "update.too_large": "The update has {size} bytes; an update of the planned rank has at most {limit}.",
    "update.unshared_histogram": "The update's report counts notes by specialty or type, which this federation does "
    "not share. Use the same program as the coordinator.",
    "update.wild": "The update has values larger than {largest} in {module}, so training has diverged. Ask the "
    "coordinator's host for a smaller learning rate.",
    "update.wrong_hash": "The adapter that arrived is not the one that was approved: its sha256 is {found}, not "
    "{expected}.",
    "update.wrong_importance": "The update's report does not say how important each of the federation's matrices is, "
    "or says it without being asked. Use the same program as the coordinator.",
    "update.wrong_norm": "The update's norm is {found}, but its report says {reported}.",
    "update.wrong_parts": "The update does not have the parts that the plan asked for.",
    "update.wrong_rank": "The update has rank {found} in {module}; the plan asked for {expected}.",
    "update.wrong_scale": "The update has scale {found} in {module}; the federation's scale is {expected}.",
    "update.wrong_shape": "The update has shape {found} in {module}; the base model needs {expected}.",
}
