# SPDX-License-Identifier: Apache-2.0
"""Sentences about adapter files, and about what this computer keeps on its disk."""

from typing import Final

SENTENCES: Final = {
    "backup.exists": "{path} is there already. Choose another name for the backup; a folder must be new or empty.",
    "backup.running": "A coordinator is running with {path}. Check a backup instead, which --backup makes while it "
    "runs; or stop it first.",
    "backup.packed": "{path} is a packed backup. Unpack it into a folder of its own (tar -xf {path} -C FOLDER), and "
    "give that folder.",
    "errand.ended": "The coordinator with the folder {path} stopped before it had carried out the command. Start it, "
    "and try again.",
    "errand.failed": "The coordinator could not carry out the command: {reason}. Its log says more.",
    "errand.not_taken": "The folder {path} is in use, but no coordinator there accepts commands: it may be an "
    "earlier version, or about to stop. Stop it and try again, or look at its log.",
    "lora.adapter_empty": "The adapter contains no modules. Choose one that adapts at least one linear layer.",
    "lora.factor_shape": "The tensor {tensor} has shape {shape}, but {expected} is needed. Create the adapter again.",
    "lora.file_cut_off": "The adapter is incomplete: it has {size} bytes, but needs {expected}. Download it again.",
    "lora.file_damaged": "The stored adapter {sha256} is damaged: its bytes have changed. Copy it from a backup, or "
    "download it again.",
    "lora.file_header": "The adapter's header is not valid: {reason}. The file is damaged or not a safetensors file; "
    "download it again.",
    "lora.file_header_size": "The adapter's header claims {size} bytes; at most {limit} are allowed. "
    "The file is damaged or not a safetensors file; download it again.",
    "lora.file_missing": "The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.",
    "lora.file_size": "The adapter has {size} bytes, but its tensors end at byte {expected}. Download it again.",
    "lora.format_too_new": "The adapter has format version {version}; this program knows versions up to {known}. "
    "Update fedmed-desktop.",
    "lora.metadata": "The adapter's metadata were not written by fedmed-desktop: {reason}. Choose an adapter that "
    "fedmed-desktop wrote.",
    "lora.module_name": "{name} cannot be the name of a module. Use the base model's own names, such as "
    "model.layers.0.self_attn.q_proj.",
    "lora.module_unknown": "The adapter has no module {name}. Use adapters made for the same base model.",
    "lora.modules_differ": "The adapters do not adapt the same modules: {name} is in only one of them. "
    "Use adapters of the same federation.",
    "lora.no_adapter": "There is no adapter at {path}. Check the path.",
    "lora.not_an_adapter": "{path} is not an adapter: {reason}. Choose a PEFT folder, or a .safetensors file that "
    "fedmed-desktop wrote.",
    "lora.not_canonical": "The adapter's bytes are not in the one form that fedmed-desktop writes, so its hash "
    "cannot be compared. Save it again with fedmed-desktop.",
    "lora.packed": "The update cannot be unpacked: {reason}. Send it again; if this message comes again, train the "
    "round again.",
    "lora.partner_missing": "The tensor {tensor} is missing, but the other factor of its pair is there. Create the "
    "adapter again.",
    "lora.peft_config": "The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.",
    "lora.peft_unsupported": "This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or "
    "rsLoRA on linear layers.",
    "lora.rank": "The rank {rank} cannot be used. Choose a whole number of at least 1.",
    "lora.scale": "The scale {scale} of {name} cannot be used. It must be a finite number greater than 0.",
    "lora.shapes_differ": "The module {name} has shape {left} in one adapter and {right} in another. "
    "Use adapters made for the same base model.",
    "lora.tensor_dtype": "The tensor {tensor} has type {dtype}; {expected} is needed. Save the adapter in that type.",
    "lora.tensor_entry": "The entry of tensor {tensor} in the header is wrong: {reason}. The file is damaged; download "
    "it again.",
    "lora.tensor_not_finite": "The tensor {tensor} contains values that are not finite numbers. Training may have "
    "diverged; lower the learning rate and train again.",
    "lora.tensor_unknown": "The tensor {tensor} does not belong in a LoRA adapter. Choose an adapter with only "
    "LoRA factors of linear layers.",
    "output.exists": "{path} is there already. Choose another name after {option}; a folder must be new or empty.",
    "storage.busy": "Another fedmed-desktop has been writing to {path} for several seconds. Try again in a moment.",
    "storage.disk_full": "The disk is full, so {path} cannot be written. Free some space; everything that was "
    "acknowledged is safe.",
    "storage.damaged": "{path} is damaged: {reason}. Restore the folder {folder} from a backup; if you have none, "
    "start in another folder.",
    "storage.damaged_row": "{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} "
    "from a backup; if you have none, start in another folder.",
    "storage.fault": "The file {path} cannot be used: {reason}.",
    "storage.in_use": "The folder {path} is in use by another fedmed-desktop. Close that one, or choose another "
    "--data-dir.",
    "storage.journal_damaged": "{path} was damaged, so the curves of earlier rounds are gone. It is kept as {aside}; "
    "new values are recorded again.",
    "storage.lost": "{path} is missing or empty, but {folder} holds adapters of a federation that has started. "
    "Restore {path} from a backup, or choose another --data-dir to start again.",
    "storage.newer": "{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows "
    "{known}). Use that version or a later one.",
    "storage.no_blob": "The adapter {sha256} is not on this disk.",
    "storage.no_folder": "The folder {path} cannot be made: a file or a system folder is in its place. Choose another "
    "folder.",
    "storage.no_update": "There is no update {sha256} in the outbox.",
    "storage.no_wal": "{path} is on a file system where a database is not safe (a network drive?). Choose a local "
    "disk.",
    "storage.not_possible_now": "This update is {state}, so it cannot be {decision} any more.",
    "storage.of_coordinator": "{path} is the data folder of a coordinator. Choose another --data-dir for the site.",
    "storage.of_site": "{path} is the data folder of a site. Choose another --data-dir for the coordinator.",
    "storage.own_damaged": "{path} is damaged. It holds what this site learned for itself in an earlier round, which "
    "is never sent. Restore it from a backup; or remove the folder {folder}, and the site continues without it.",
    "storage.other_spec": "The folder {path} belongs to a federation with another specification. Choose another "
    "--data-dir, or use the specification that it was started with.",
    "storage.read_only": "{path} is on a read-only disk; a disk can become read-only after a fault. Make it writable "
    "again; everything that was acknowledged is safe.",
    "storage.row_out_of_bounds": "Row {row} of the table {table} in {path} has a value that is no longer allowed: "
    "{place}. The nearest allowed value is used instead.",
    "storage.not_released": "The blob {sha256} does not belong to an approved update and may not leave this computer.",
}
