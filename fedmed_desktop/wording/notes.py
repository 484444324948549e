# SPDX-License-Identifier: Apache-2.0
"""Sentences about notes, types of entities, reading a note and training on notes."""

from typing import Final

SENTENCES: Final = {
    "clinical.no_code_table": "The table of ICD-10-CM codes that comes with this program is missing or damaged, so no "
    "code can be looked up. Install the program again.",
    "clinical.no_types_asked": "No type of entity is chosen. Choose at least one, such as drug.",
    "clinical.no_spacy": "Reading {name} needs the package spacy, which is not installed. Install it with: pip install "
    "spacy",
    "clinical.note_empty": "There is no text to read. Paste or open a note first.",
    "clinical.notes_empty": "{name} contains no notes that can be used. Check that it is the right file or folder.",
    "clinical.notes_file": "The notes file {name} cannot be used: {reason}. Correct or remove it and try again.",
    "clinical.notes_folder_missing": "There is no notes folder {name}. Choose the folder that contains the "
    "notes to train and to validate on, such as train.jsonl and validation.jsonl.",
    "clinical.notes_format": "No format fits {name}: {seen}. These formats are read: {formats}.",
    "clinical.notes_missing": "The notes file {name} does not exist. Check its name and folder.",
    "clinical.notes_row": "The notes file {name} has an error in row {row}: {reason}. Correct this row and try again.",
    "clinical.notes_rows": "The notes file {name} has an error in row {row}: {reason}. More rows with an error: "
    "{more}. Correct them and try again; this lists them all: fedmed-desktop --check-notes",
    "clinical.notes_split_missing": "The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz, and no {split} "
    "in another format. Put the {split} notes there.",
    "clinical.notes_split_twice": "The notes folder {name} has both {first} and {second}. Remove the one that you do "
    "not want to use.",
    "clinical.notes_unreadable": "The notes file {name} cannot be read: {reason}. Choose another file, or repair "
    "this one; text files may be compressed with gzip if their name ends in .gz.",
    "clinical.table_column": "There is no column {column}, which was named for {role}. The table's columns: {found}.",
    "clinical.table_no_text": "None of the columns of {name} is known to hold the notes' text (found: {found}). Rename "
    "the column to text, or say which column holds the text.",
    "clinical.table_role": "A column cannot be {role}. Choose from: {known}.",
    "clinical.types_file": "The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows "
    'such as Chemical = "drug".',
    "clinical.types_file_missing": "The types file {name} does not exist. Check its name and folder.",
    "clinical.types_map_target": "The types map translates {local} to {target}, but the federation's types are "
    "{expected}. Correct the map.",
    "clinical.types_unknown": "None of the types in these notes is known to the federation. Found: {found}; the "
    "federation's types: {expected}. Add a types map.",
    "evaluation.adapter_twice": "Two adapters are both called {name}. Copy one of them to a folder with another name.",
    "evaluation.no_labels": "These notes have no labels for {tasks}. Choose notes that are annotated for it, or "
    "another task.",
    "fit.adapter_and_out": "With --federation, name the adapter with --adapter and the folder to write with --out.",
    "fit.has_own": "This site has a model of its own already, in {path}, because {method} keeps a part of the model at "
    "each site. To fit another adapter, name it with --adapter.",
    "fit.no_federation": "No federation is known in {path}, or another program is using that folder. Name the folder "
    "of a site that took part, close the desktop that works with it, or use --federation, --adapter and --out.",
    "fit.not_finished": "There is no adapter in {path}: a site has one once its federation has finished. Wait for "
    "that, or name an adapter with --adapter.",
    "training.chat_template": "The base model's chat template cannot be used: {reason}. Choose another base model, or "
    "found the federation with --prompt plain.",
    "training.context_too_short": "The base model can read only {context} tokens at a time, which is too few for the "
    "task and a line of text. Choose another base model.",
    "training.control_shape": "The control variate does not have the adapter's modules and ranks. Start a new "
    "federation with the same rank for all sites.",
    "training.diverged": "Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask "
    "the coordinator's host for a smaller learning rate.",
    "training.no_loss": "The model's loss {moment} is not a number: training has diverged, here or at another site. "
    "Ask the coordinator's host for a smaller learning rate.",
    "training.encoder_unreadable": "The encoder in {path} cannot be loaded: {reason}. Choose the folder of a Hugging "
    "Face encoder, such as BERT, with safetensors and tokenizer.json.",
    "training.few_cards": "There are {processes} processes but only {cards} GPUs, and each process needs its own. "
    "Start torchrun with --nproc-per-node {cards}.",
    "training.layer_shape": "The adapter's module {name} is {found}, but the base model's layer is {expected}. Use the "
    "base model that the adapter was made for.",
    "training.model_code": "The model in {path} comes with its own code, which is never run. Choose a model that the "
    "transformers library supports by itself.",
    "training.model_not_cached": "The model {model} is neither a folder nor in this computer's cache. Check the path; "
    "or, if it is the id of a model, download it once with: hf download {model}",
    "training.model_unreadable": "The model in {path} cannot be loaded: {reason}. Choose the folder of a language "
    "model that this version supports, in Hugging Face's format.",
    "training.no_bitsandbytes": "A 4-bit base model needs the package bitsandbytes, which is not installed. Install "
    "fedmed-desktop[gpu], or continue without 4 bits.",
    "training.no_chat_template": "The base model has no chat template. Choose one that has, or found the federation "
    "with --prompt plain.",
    "training.no_cuda": "No CUDA device was found. Check the driver, or train on the CPU.",
    "training.no_end_token": "The tokenizer in {path} names no end token, so an answer would never end. Choose a "
    "base model whose tokenizer has one (eos_token).",
    "training.no_entities": "None of the {notes} {split} notes has an entity of the federation's types, so there is "
    "nothing to learn or to score. Check that the notes are annotated, under a key that is read (keys that are not: "
    "{unread}), and that types.toml names their types.",
    "training.no_labels": "None of the training notes has labels for the federation's tasks ({tasks}), so there is "
    "nothing to learn. Check that the notes have them, such as answers for questions.",
    "training.no_notes": "There are no {split} notes that fit the federation's maximum length. Add notes, or ask for a "
    "larger max_tokens.",
    "training.no_such_layer": "The base model has no linear layer {name}, which the adapter needs. Use the base "
    "model that the adapter was made for.",
    "training.not_causal": "The transformers library cannot load the model in {path} as a causal language model. "
    "Choose one that it can, such as the text model by itself.",
    "training.other_chat_template": "The base model here has another chat template than the federation's. Copy "
    "tokenizer_config.json and chat_template.jinja from the host's model folder.",
    "training.out_of_memory": "The {device} does not have enough memory for one note. Choose a smaller base model, a "
    "4-bit base model, or a smaller max_tokens.",
    "training.pieces_left_out": "Some pieces of the notes are too long and are left out: {pieces}. They do not fit "
    "into {tokens} tokens, even when cut as small as makes sense; nothing is learned from them, and what they "
    "contain counts as missed. Shorten them, or ask the host for a larger max_tokens.",
    "training.process_lost": "Another process of this site has ended or does not answer, so this one ends too. The "
    "other's last messages are above. Start torchrun again with the same --data-dir: training continues from its "
    "checkpoint.",
    "training.several_machines": "The processes of a site must run on one machine: what they exchange comes from its "
    "notes, and it is not encrypted. Start torchrun with --nnodes 1.",
    "training.shard_alone": "--shard-base splits the base model over the processes of one site, but only one process "
    "is running. Start it under torchrun, with --nproc-per-node and the number of GPUs.",
    "training.shard_nf4": "A base model in 4 bits cannot be split over several GPUs. Leave out --nf4 or --shard-base.",
    "training.shard_unknown": "This base model has no layers that could be split over several GPUs. Load it in 4 "
    "bits (--nf4), or choose a smaller one.",
    "training.tasks_not_scored": "No validation note has labels for {tasks}, so what is learned for this is never "
    "scored here. Add such notes to the validation notes.",
    "training.tokenizer_without_places": "training.mention_weight cannot be used: the base model's tokenizer does "
    "not say which characters a token stands for, so the beginnings of mentions cannot be found. Take out "
    "training.mention_weight, or choose a base model with a tokenizer.json.",
    "training.vocabulary": "The tokenizer in {path} does not belong to the model beside it: it has a token with the "
    "number {number} ({token}), but the model knows only {rows} tokens. Download the model again.",
}
