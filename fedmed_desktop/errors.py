# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can do something about: a code for machines, parameters, and one English sentence per code.

Codes travel on the wire and into records; the sentence is made where it is shown, so that a face may translate it.
"""

from __future__ import annotations

import errno
import os
from typing import Final

SENTENCES: Final[dict[str, str]] = {
    # code -> sentence; {name} is a parameter. Keep one block per package, sorted by code inside it.
    # clinical
    "clinical.no_types_asked": "No type of entity is chosen. Choose at least one, such as drug.",
    "clinical.note_empty": "There is no text to read. Paste or open a note first.",
    "clinical.notes_empty": "The notes file {name} holds no notes. Each row must be one note as a JSON object.",
    "clinical.notes_folder_missing": "The notes folder {name} does not exist. Choose the folder that holds train.jsonl "
    "and validation.jsonl.",
    "clinical.notes_missing": "The notes file {name} does not exist. Check its name and folder.",
    "clinical.notes_row": "The notes file {name} has a fault in row {row}: {reason}. Mend this row and try again.",
    "clinical.notes_split_missing": "The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz. Put the "
    "{split} notes there.",
    "clinical.notes_split_twice": "The notes folder {name} has both {split}.jsonl and {split}.jsonl.gz. Remove the one "
    "that is not meant.",
    "clinical.notes_unreadable": "The notes file {name} cannot be read: {reason}. Give a text file of JSON rows "
    "(.jsonl), or one packed with gzip (.jsonl.gz).",
    "clinical.types_file": "The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows "
    'such as Chemical = "drug".',
    "clinical.types_file_missing": "The types file {name} does not exist. Check its name and folder.",
    "clinical.types_map_target": "The types map sends {local} to {target}, but the federation's types are {expected}. "
    "Correct the map.",
    "clinical.types_unknown": "None of the types in these notes is known to the federation. Found: {found}; the "
    "federation's types: {expected}. Add a types map.",
    # combine, spec, model, update (federation and base model)
    "combine.mixed_scales": "Module {module} has different scales at different sites, so factors cannot be averaged. "
    'Write combine = "product" in the federation\'s specification.',
    "model.changed": "Files of the model in {path} were changed while the program was about to load it. Start again; "
    "then the model is looked at anew.",
    "model.damaged": "The model file {path} is damaged: {reason}. Fetch the model again.",
    "model.no_file": "{path} is not a model folder: it has no {file}. Give the folder of a Hugging Face causal "
    "language model.",
    "model.no_folder": "There is no model folder at {path}. Check the path.",
    "model.no_linears": "The model in {path} has no linear layers inside decoder blocks that could be adapted.",
    "plan.not_of_spec": "What the coordinator asks for in round {round} is not what the federation's specification "
    "says of {method}, so nothing is trained and nothing leaves. Ask the host of the federation why; both need the "
    "same program.",
    "plan.rank_over_cap": "The coordinator asks for rank {rank} in round {round}, more than the {cap} that this site "
    "said it bears (--rank-cap). The site takes part again once it is asked for less.",
    "spec.exists": "{path} exists already. Choose another --out folder; a federation is never written over.",
    "spec.missing": "There is no federation specification at {path}. Write one with --new-federation.",
    "spec.unreadable": "The federation specification {path} cannot be read: {reason}.",
    "spec.wrong_key": "{path}: {key}: {reason}. Correct this key and start again.",
    "update.foreign_type": "The update's report scores types that are not the federation's.",
    "update.foreign_module": "The update adapts {module}, which is not part of this federation.",
    "update.missing_module": "The update does not adapt {module}, which is part of this federation.",
    "update.no_shared_loss": "The update's model has no finite loss on the coordinator's notes, so it cannot be "
    "weighed. Training may have diverged; lower the learning rate and train again.",
    "update.not_asked": "This site was not asked for an update in this round.",
    "update.round_closed": "The round had closed before the update arrived; the adapter stays at the site.",
    "update.second": "An update of this site already counts in this round; a second one is not taken.",
    "update.unshared_histogram": "The update's report counts notes by specialty or type, which this federation does "
    "not share. Use the same program as the coordinator.",
    "update.wild": "The update has values beyond {largest} in {module}, so training has gone astray. Ask the "
    "coordinator's host for a smaller learning rate.",
    "update.wrong_hash": "What arrived is not what was approved: its sha256 is {found}, not {expected}.",
    "update.wrong_norm": "The update's norm is {found}, but its report says {reported}.",
    "update.wrong_parts": "The update does not have the parts that the plan asked for.",
    "update.wrong_rank": "The update has rank {found} in {module}; the plan asked for {expected}.",
    "update.wrong_scale": "The update has scale {found} in {module}; the federation's is {expected}.",
    "update.wrong_shape": "The update has shape {found} in {module}; the base model needs {expected}.",
    # methods
    "methods.adaptive_needs_product": "{path}: adaptive_fedlora has sites of different ranks, each beginning from "
    "a start cut to its rank in another basis, so averaging factors would mix what does not belong together. Write "
    'combine = "product" or "stack".',
    "methods.fedex_is_exact": "{path}: fedex averages factors and adds what that misses; a product or a stack leaves "
    'nothing to add. Write combine = "factors", or choose flexlora or flora.',
    "methods.fednova_needs_start": "{path}: fednova goes on from where the round began, but a stack starts afresh in "
    'every round. Write combine = "factors" or "product".',
    "methods.fedrot_needs_factors": "{path}: fedrot turns factors without changing their product, so only averaged "
    'factors see it. Write combine = "factors", or choose fedavg.',
    "methods.fedsa_has_no_product": "{path}: fedsa keeps B at the sites, so there is no product to combine or stack. "
    'Write combine = "factors".',
    "methods.ffa_keeps_a": "{path}: ffa keeps one A for good and is exact so; a product or a stack brings another. "
    'Write combine = "factors".',
    "methods.flexlora_is_product": '{path}: flexlora is the average of products. Write combine = "product", or choose '
    "fedavg.",
    "methods.flora_is_stack": '{path}: flora is the stack of the updates. Write combine = "stack", or choose fedavg.',
    "methods.needs_histogram": "{path}: this method weighs sites by what their notes are about. Write "
    'share.histogram = "specialties" (or "types"), or set its semantic weight to 0.',
    "methods.no_histogram": "The update's report does not say how many notes of each specialty (or entities of each "
    "type) the site has, which the method needs. Give the site's notes their specialties, or leave the federation.",
    "methods.no_shared_notes": '{path}: with measured_by = "sites" every site measures its model on notes that all '
    'may read. Add [[shared_notes]], or write measured_by = "coordinator" and start it with --score-with.',
    "methods.no_shared_loss": "The update's report lacks the loss on the federation's shared notes, which is its "
    "weight. Give this site the shared notes.",
    "methods.rolora_needs_factors": "{path}: rolora holds one factor in each round and is exact so; a product or a "
    'stack would change both. Write combine = "factors".',
    "methods.scaffold_needs_factors": "{path}: scaffold's control variates are directions of A and B, which a product "
    'or a stack replaces by others. Write combine = "factors".',
    "methods.scaffold_needs_sgd": '{path}: scaffold\'s form = "sgd" reads gradients off the steps, which only SGD '
    'allows. Write form = "gradient", or training.optimizer = "sgd".',
    "methods.unknown": "There is no method {method}. Choose one of {known}.",
    # protocol, storage
    "protocol.bad_chunk": "A piece of an adapter cannot be taken: {reason}. The transfer begins again.",
    "protocol.not_understood": "The other side sent something that this version does not understand ({place}: "
    "{reason}). Use the same version of fedmed-desktop on both sides.",
    "storage.disk_full": "The disk is full; {path} cannot grow. Free some space; nothing acknowledged is lost.",
    "storage.damaged": "{path} is damaged: {reason}. Restore the folder {folder} from a backup; without one, begin in "
    "another folder.",
    "storage.damaged_row": "{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} "
    "from a backup; without one, begin in another folder.",
    "storage.fault": "The file {path} cannot be used: {reason}.",
    "storage.in_use": "The folder {path} is in use by another fedmed-desktop. Close that one, or choose another "
    "--data-dir.",
    "storage.lost": "{path} is missing or empty, but {folder} holds adapters of a federation that has begun. "
    "Restore {path} from a backup, or choose another --data-dir to begin again.",
    "storage.newer": "{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows "
    "{known}). Use that version or a later one.",
    "storage.no_blob": "The adapter {sha256} is not on this disk.",
    "storage.no_update": "There is no update {sha256} in the outbox.",
    "storage.no_wal": "{path} lies on a file system that cannot keep a safe journal (a network share?). Choose a local "
    "disk.",
    "storage.not_possible_now": "This update is {state}, so it cannot be {decision} any more.",
    "storage.own_damaged": "{path}, which this site keeps of an earlier round and never sends, is damaged. Restore it "
    "from a backup; or remove the folder {folder}, and the site goes on without what it had learnt for itself.",
    "storage.other_spec": "The folder {path} belongs to a federation with another specification. Choose another "
    "--data-dir, or give the specification it was begun with.",
    "storage.read_only": "{path} is on a disk that is read-only, as a disk is after a fault. Make it writable again; "
    "nothing acknowledged is lost.",
    "storage.row_out_of_bounds": "Row {row} of the table {table} in {path} has a value that is not allowed any more: "
    "{place}. The nearest allowed value counts in its place.",
    "storage.not_released": "The blob {sha256} does not belong to an approved update and may not leave.",
    # coordinator, join (site)
    "coordinator.no_initial": "The first adapter {sha256} of this federation is not in {path}. Copy the .safetensors "
    "file that --new-federation wrote beside the specification.",
    "coordinator.no_scorer": "{method} has the coordinator measure each update, so it needs a base model and notes. "
    "Start it with --score-with MODEL NOTES, or choose a method that needs none.",
    "coordinator.no_status": "No coordinator answers on {address}. Start one, or give its --host and --port.",
    "coordinator.not_loopback": "The address {address} is not this computer's own. Until sites have keys and the "
    "connection is encrypted, the coordinator listens on 127.0.0.1 only; for sites elsewhere use an SSH tunnel.",
    "coordinator.other_base": "The model given with --score-with is not the federation's base (fingerprint {found}, "
    "expected {expected}). Give the model folder that the federation was made with.",
    "coordinator.port": "Port {port} on {address} cannot be used; another program holds it. Choose another --port.",
    "coordinator.scorer_unused": "{method} does not ask for measurements by the coordinator. Leave out --score-with, "
    'or set measured_by = "coordinator" where the method has it.',
    "join.name_taken": "Another site has joined under the name {site}. Choose another --name, or use the data folder "
    "that the site joined with.",
    "join.other_base": "This site's base model is not the federation's (fingerprint {found}, expected {expected}). "
    "Give the model folder that the federation was made with.",
    "join.other_federation": "This data folder belongs to the federation {known}, but the coordinator runs {found}. "
    "Choose another --data-dir.",
    "join.rank_cap": "This federation's method needs rank {rank} at every site; this one bears only {cap}. Leave out "
    "--rank-cap, or ask the coordinator for a method that mixes ranks, such as flexlora.",
    "join.replaced": "Another connection under the name {site} took this one's place. Run each site once only.",
    "join.version": "The site speaks protocol version {site}, the coordinator {coordinator}. Use the same version of "
    "fedmed-desktop on both sides.",
    "update.not_here": "The site has the update no more, so it cannot be fetched.",
    "update.too_large": "The update has {size} bytes; one of the planned rank has at most {limit}.",
    # demo
    "demo.no_notes": "There is no notes folder at {path}. Give a folder with one folder per site.",
    "demo.paused": "Round {round} came to a stand twice: too few updates were sent for a quorum. See above what each "
    "site says, then start again.",
    "demo.too_few_sites": "{path} holds notes of {found} sites; {wanted} are wanted. Add folders or lower --sites.",
    # desktop
    "desktop.fault": "The program met something that it was not made for ({kind}). Nothing was sent because of it. "
    "Start it again; if it comes back, send the log file to whoever looks after the program.",
    "desktop.not_asked": "The round has moved on; this update is no longer asked for. Nothing was sent.",
    "desktop.no_display": "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take "
    "part with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.",
    "desktop.no_path": "This is no path of this computer. Choose the file or folder with Browse.",
    "desktop.note_binary": "{name} is no text file. Open a note as plain text, or copy its words and paste them.",
    "desktop.note_encoding": "{name} is not written in UTF-8. Save it as UTF-8 text, or copy its words and paste them.",
    "desktop.note_too_long": "This note has more than {limit} characters. Shorten it, or read it in parts.",
    "desktop.not_written": "{path} could not be written: {reason}. Choose another folder or name.",
    "desktop.other_model": "This adapter belongs to another model. Choose one that was made with this model.",
    "desktop.qt_libraries": "Qt cannot start here: these system libraries are missing: {libraries}. To get them: {how}",
    "desktop.qt_missing": "The desktop needs {package}, which is not installed. In the checkout: "
    'python -m pip install ".[desktop]"',
    "desktop.qt_pair": "PySide6 {qt} crashes Python {python} within minutes, since it frees None. Install an earlier "
    'one: python -m pip install "PySide6-Essentials<6.12"',
    "desktop.second": "Another fedmed-desktop has the folder {path} open. This one keeps no settings and no log, and "
    "does not take part in the other one's federation. Close one of them, or start with another --data-dir.",
    "desktop.settings_broken": "The settings could not be read and were put aside as {path}. The program starts with "
    "the usual ones.",
    "desktop.type_word": "{name} cannot be a type. Give plain words with commas between them, such as drug, problem.",
    "desktop.types_ignored": "None of the types in these notes ({found}) can be a federation's, so nothing could be "
    'learned. Give a types map with rows such as Chemical = "drug".',
    "desktop.types_many": "More than {limit} types cannot be looked for at once. Name fewer.",
    # lab, results
    "lab.corpus_missing": "{path} is not there. Give the folder of the evaluation data with --data.",
    "lab.corpus_row": "Row {row} of {path} is no note as this corpus has them ({reason}). Give the corpus unchanged.",
    "lab.corpus_types": "{corpus} annotates none of the experiment's types. It has: {found}. Add one of these to "
    "types, or leave the corpus out.",
    "lab.corpus_unreadable": "{path} cannot be read ({reason}). Give the corpus unchanged, as gzip'd JSON lines.",
    "lab.data_needed": "The corpus {corpus} is not bundled. Give the folder that holds it with --data.",
    "lab.empty_split": "{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more "
    "notes, raise split.validation_share, lower split.ratio, or split by something else.",
    "lab.few_labels": 'With split.by = "{by}" the notes have {found} different ones, too few for {sites} sites. Ask '
    'for fewer sites, or write by = "dirichlet".',
    "lab.few_notes": "There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.",
    "lab.few_shared": "The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise "
    "split.validation_share.",
    "lab.label_map": "{path} has no map for the types of {corpus}. Give the evaluation data unchanged, or write "
    "[corpora.types].",
    "lab.missing": "There is no experiment at {path}. Give a TOML file; resources/experiments has some.",
    "lab.no_matplotlib": "The results and the table are in {path}, but matplotlib, which draws the pictures, is not "
    "installed. Get it with pip install 'fedmed-desktop[lab]', then run the lab again with the same --out.",
    "lab.no_common_type": "No type of the experiment is marked up in all corpora of {site}. Add a type that all have, "
    'or split by "corpus" with as many sites as corpora.',
    "lab.no_label": "A note of {corpus} has no {what}, so it cannot be split by that. Choose another split.by.",
    "lab.rank_over_cap": "{path}: {method} gives all sites one rank, and rank {rank} is over the smallest cap, {cap}. "
    'Write rank = "smallest_cap" for this method, or raise hardware.caps.',
    "lab.type_nowhere": "No site annotates {type}, since each has notes of a corpus that does not, or lacks it. Leave "
    'it out of types, or split by "corpus" with as many sites as corpora.',
    "lab.unreadable": "The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.",
    "lab.no_ray": "The Ray engine needs Ray, which is not installed: pip install 'fedmed-desktop[cluster]'. Or leave "
    "out --engine ray.",
    "lab.ray_room": "There are {cores} cores for Ray, too few for {workers} workers of {threads} threads each. Ask "
    "for fewer --workers.",
    "lab.no_scorer": '{path}: the lab has no coordinator with notes of its own. Write measured_by = "sites"; then the '
    "experiment's shared notes are used.",
    "lab.no_shared_notes": "{path}: the sites are weighed by notes that all may read. Set shared_notes to 1 or more.",
    "lab.no_such_method": "The experiment has no method or baseline {label}. It has: {known}. Correct --only.",
    "lab.no_tuning_seeds": "The experiment names no tuning_seeds. Add some to its file, or leave out --tuning.",
    "results.damaged_head": "{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl "
    "beside it, and run the lab again.",
    "results.foreign": "{path} has a {file}, but no experiment that it is of. Choose another folder as --out.",
    "results.other_label": "{path} holds results of {label} with other settings. Give the method a label of its own, "
    "or choose another --out.",
    "results.damaged": "{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the "
    "same --out, or choose another folder.",
    "results.format": "The experiment in {path} has format {found}; this program reads format {known}. Open it with "
    "the version of fedmed-desktop that wrote it.",
    "results.no_experiment": "{path} holds no experiment. Choose a folder that fedmed-desktop --lab has written.",
    "results.other_experiment": "{path} holds the results of another experiment ({found}), or of an earlier state of "
    "this one. Choose another --out.",
    # link, site
    "link.address": "{address} is no coordinator address. Give one such as ws://127.0.0.1:8765.",
    "link.closed": "The coordinator at {address} closed the connection.",
    "link.not_loopback": "{address} is not on this computer. Until sites have keys and the connection is encrypted, "
    "only a coordinator on this computer can be joined; for one elsewhere use an SSH tunnel.",
    "site.name": "{name} cannot be a site's name. Use 1 to 40 letters, digits, blanks, dots, dashes or underscores.",
    "site.rule_reason": "A rule needs a reason: say in a few words why every update may leave.",
    "link.unreachable": "The coordinator at {address} does not answer. Check that it runs; this site keeps trying.",
    # lora
    "lora.adapter_empty": "The adapter holds no modules. Give one that adapts at least one linear layer.",
    "lora.factor_shape": "The tensor {tensor} has shape {shape}, where {expected} is needed. Make the adapter again.",
    "lora.file_cut_off": "The adapter is cut off: it has {size} bytes where {expected} are needed. Fetch it again.",
    "lora.file_header": "The adapter's header is not valid: {reason}. The file is damaged or not safetensors; "
    "fetch it again.",
    "lora.file_header_size": "The adapter's header claims {size} bytes; at most {limit} are allowed. "
    "The file is damaged or not safetensors; fetch it again.",
    "lora.file_missing": "The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.",
    "lora.file_size": "The adapter has {size} bytes, but its tensors end at byte {expected}. Fetch it again.",
    "lora.format_too_new": "The adapter has format version {version}; this program knows versions up to {known}. "
    "Update fedmed-desktop.",
    "lora.metadata": "The adapter's metadata are not fedmed-desktop's: {reason}. Give an adapter that "
    "fedmed-desktop wrote.",
    "lora.module_name": "{name} cannot be the name of a module. Use the base model's own names, such as "
    "model.layers.0.self_attn.q_proj.",
    "lora.module_unknown": "The adapter has no module {name}. Use adapters made for the same base model.",
    "lora.modules_differ": "The adapters do not adapt the same modules: {name} is in only one of them. "
    "Use adapters of one federation.",
    "lora.no_adapter": "There is no adapter at {path}. Check the path.",
    "lora.not_an_adapter": "{path} is no adapter: {reason}. Give a PEFT folder, or a .safetensors file that "
    "fedmed-desktop wrote.",
    "lora.not_canonical": "The adapter's bytes are not in the one form that fedmed-desktop writes, so its "
    "hash means nothing. Write it again with fedmed-desktop.",
    "lora.partner_missing": "The tensor {tensor} is missing, but its partner is there. Make the adapter again.",
    "lora.peft_config": "The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.",
    "lora.peft_unsupported": "This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or "
    "rsLoRA on linear layers.",
    "lora.rank": "The rank {rank} cannot be used. Choose a whole number of at least 1.",
    "lora.scale": "The scale {scale} of {name} cannot be used. It must be a finite number above 0.",
    "lora.shapes_differ": "The module {name} has shape {left} in one adapter and {right} in another. "
    "Use adapters made for the same base model.",
    "lora.tensor_dtype": "The tensor {tensor} is of type {dtype}; {expected} is needed. Save the adapter in that type.",
    "lora.tensor_entry": "The tensor {tensor} is described wrongly: {reason}. The file is damaged; fetch it again.",
    "lora.tensor_not_finite": "The tensor {tensor} has values that are not finite numbers. Training may have diverged; "
    "lower the learning rate and train again.",
    "lora.tensor_unknown": "The tensor {tensor} does not belong in a LoRA adapter. Give an adapter with only "
    "LoRA factors of linear layers.",
    # training
    "training.context_too_short": "The base model reads only {context} tokens at once, too few for the task and a "
    "line of text. Choose another base model.",
    "training.control_shape": "The control variate does not have the adapter's modules and ranks. Start the federation "
    "anew, with one rank for all sites.",
    "training.diverged": "Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask "
    "the coordinator's host for a smaller learning rate.",
    "training.no_loss": "The model's loss {moment} is no number: training has gone astray, here or at another site. "
    "Ask the coordinator's host for a smaller learning rate.",
    "training.layer_shape": "The adapter's module {name} is {found}, but the base model's layer is {expected}. Use the "
    "base model that the adapter was made for.",
    "training.model_not_cached": "The model {model} is neither a folder nor in this machine's cache. Fetch it once "
    "with: hf download {model}",
    "training.model_unreadable": "The model in {path} cannot be loaded: {reason}. Give the folder of a Hugging Face "
    "causal language model that this version knows.",
    "training.no_bitsandbytes": "A 4-bit base needs the package bitsandbytes, which is missing. Install "
    "fedmed-desktop[gpu], or go on without 4 bits.",
    "training.no_cuda": "No CUDA device was found. Check the driver, or train on the CPU.",
    "training.no_notes": "There are no {split} notes that fit the federation's longest text. Add notes, or ask for a "
    "larger max_tokens.",
    "training.no_such_layer": "The base model has no linear layer {name}, which the adapter needs. Use the base "
    "model that the adapter was made for.",
    "training.out_of_memory": "The memory of the {device} is too small for one note. Choose a smaller base model, a "
    "4-bit base, or a smaller max_tokens.",
}


class UserFacingError(Exception):
    """A fault that the user can mend.

    `code` is a key of SENTENCES, `params` fill its sentence (strings and numbers only, never note text);
    `retryable` says that doing the same thing later may succeed. str() is the English sentence.
    """

    def __init__(self, code: str, *, retryable: bool = False, **params: str | int | float) -> None:
        self.code = code
        self.params = params
        self.retryable = retryable
        super().__init__(sentence(code, params))

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.code, self.retryable, self.params))


def _restore(code: str, retryable: bool, params: dict[str, str | int | float]) -> UserFacingError:
    return UserFacingError(code, retryable=retryable, **params)


def sentence(code: str, params: dict[str, str | int | float]) -> str:
    """The English sentence for a code; a code from a newer peer is shown with its parameters."""
    template = SENTENCES.get(code)
    if template is None:
        details = ", ".join(f"{k}={v}" for k, v in sorted(params.items()))
        return f"{code} ({details})" if details else code
    return template.format_map(_Unknown(params))


class _Unknown(dict[str, str | int | float]):
    """A peer of another version, or a hostile one, leaves parameters out; a record may keep the code alone."""

    def __missing__(self, key: str) -> str:
        return "…"


def disk_fault(error: OSError, path: os.PathLike[str]) -> UserFacingError:
    """What a failed file operation means to the user; nothing was acknowledged before it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserFacingError("storage.disk_full", path=str(path), retryable=True)
    if error.errno == errno.EROFS:
        return UserFacingError("storage.read_only", path=str(path), retryable=True)
    return UserFacingError("storage.fault", path=str(path), reason=error.strerror or type(error).__name__)
