# SPDX-License-Identifier: Apache-2.0
"""Sentences about experiments of the lab and their results."""

from typing import Final

SENTENCES: Final = {
    "lab.corpus_missing": "{path} does not exist. Give the folder of the evaluation data with --data.",
    "lab.corpus_row": "Row {row} of {path} is not a note in the format of this corpus ({reason}). Use the original "
    "corpus.",
    "lab.corpus_labels": "The notes of {corpus} have labels for none of the experiment's tasks: {tasks}. Annotate "
    "them, or leave the corpus out.",
    "lab.corpus_types": "{corpus} annotates none of the experiment's types. It has: {found}. Add one of these to "
    "types, or leave the corpus out.",
    "lab.corpus_unreadable": "{path} cannot be read ({reason}). Use the original corpus, as gzip'd JSON lines.",
    "lab.data_needed": "The corpus {corpus} is not bundled. Give the folder that contains it with --data.",
    "lab.empty_split": "{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more "
    "notes, raise split.validation_share, lower split.ratio, or split by something else.",
    "lab.few_labels": 'With split.by = "{by}" the notes have {found} different labels, too few for {sites} sites. Ask '
    'for fewer sites, or write by = "dirichlet".',
    "lab.cohort": "{given} names no cohort. Write --cohort NAME=PATH, such as --cohort Northside=notes/northside.",
    "lab.few_elsewhere": "{corpus} has too few notes ({found}) that no site has. Choose another corpus, or ask "
    "for fewer.",
    "lab.few_notes": "There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.",
    "lab.few_shared": "The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise "
    "split.validation_share.",
    "lab.label_map": "{path} has no map for the types of {corpus}. Use the original evaluation data, or write "
    "[corpora.types].",
    "lab.missing": "There is no experiment at {path}. Give a TOML file; there are some in resources/experiments.",
    "lab.no_matplotlib": "The results and the table are in {path}, but matplotlib, which draws the plots, is not "
    "installed. Install it with pip install 'fedmed-desktop[lab]', then run the lab again with the same --out.",
    "lab.no_common_type": "No type of the experiment is annotated in all corpora of {site}. Add a type that all of "
    'them have, or split by "corpus" with as many sites as corpora.',
    "lab.no_label": "A note of {corpus} has no {what}, so the notes cannot be split by it. Choose another split.by.",
    "lab.rank_over_cap": "{path}: {method} gives all sites the same rank, and rank {rank} is over the smallest cap, "
    '{cap}. Write rank = "smallest_cap" for this method, or raise hardware.caps.',
    "lab.type_nowhere": "No site annotates {type}: each has notes of a corpus that does not, or has no such entity. "
    'Remove it from types, or split by "corpus" with as many sites as corpora.',
    "lab.unreadable": "The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.",
    "lab.no_ray": "The Ray engine needs Ray, which is not installed: pip install 'fedmed-desktop[cluster]'. Or leave "
    "out --engine ray.",
    "lab.ray_room": "Ray has {cores} cores, too few for {workers} workers with {threads} threads each. Ask for fewer "
    "--workers.",
    "lab.no_scorer": '{path}: in the lab the coordinator has no notes of its own. Write measured_by = "sites"; the '
    "experiment's shared notes are then used.",
    "lab.no_shared_notes": "{path}: this method weights sites by their results on notes that everyone may read. Set "
    "shared_notes to 1 or more.",
    "lab.shared_notes_lack_labels": "{path}: this method weights sites by their results on shared notes, which hold "
    "texts and entities, and none of the tasks is learned from these. Choose another method, or add the task "
    '"entities".',
    "lab.task_nowhere": "No corpus of the sites has labels for the task {task}. Add one that has, or leave the task "
    "out.",
    "lab.no_such_method": "The experiment has no method or baseline {label}. It has: {known}. Correct --only.",
    "lab.no_tuning_seeds": "The experiment has no tuning_seeds. Add some to its file, or leave out --tuning.",
    "results.damaged_head": "{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl "
    "beside it, and run the lab again.",
    "results.foreign": "{path} has a {file}, but not the experiment that it belongs to. Choose another folder as "
    "--out.",
    "results.other_label": "{path} holds results of {label} with other settings. Give the method a label of its own, "
    "or choose another --out.",
    "results.damaged": "{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the "
    "same --out, or choose another folder.",
    "results.format": "The experiment in {path} has format {found}; this program reads format {known}. Open it with "
    "the version of fedmed-desktop that wrote it.",
    "results.no_experiment": "{path} contains no experiment. Choose a folder that fedmed-desktop --lab has written.",
    "results.other_experiment": "{path} holds the results of another experiment ({found}), or of an earlier version of "
    "this one. Choose another --out.",
}
