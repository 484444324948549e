# SPDX-License-Identifier: Apache-2.0
"""Sentences about audit chains: what is wrong with one, and why one cannot be checked."""

from typing import Final

SENTENCES: Final = {
    "audit.broken": "{path}: entry {entry} {reason}. Keep the file as it is, and compare it with a backup and with "
    "the other side's audit file.",
    "audit.cut_off": "{path} does not match what the other side recorded: entry {held} of {other} holds a hash that "
    "is not in it. Entries from {entry} on were changed or removed. Compare it with a backup.",
    "audit.no_export": "{path} is neither an audit file nor an export of one. Choose a data folder, its audit.sqlite, "
    "or a .json file that --verify-audit --export wrote.",
    "audit.no_intent": "The update {sha256} stays on this computer: the audit file {path} has no entry that it was "
    "about to be released. Keep both files, and show them to whoever supports this program before you continue.",
    "audit.none": "There is no audit file at {path}. Choose the data folder of a site or a coordinator, its "
    "audit.sqlite, or an exported .json file.",
    "audit.not_seen": "{path} no longer holds entry {entry} as it was shown, so nothing was marked. Verify the record, "
    "and compare it with a backup.",
    "audit.other_signer": "{path} was signed with the key {found}, but its entries name the key {expected}. Ask its "
    "owner for an export that the owner's own key signed.",
    "audit.same_side": "{path} and {other} come from the same side. Compare a site's audit file with its "
    "coordinator's.",
    "audit.signature": "The signature of {path} is not valid: the file was changed after it was signed. Ask its owner "
    "for another export.",
    "audit.suffix": "{path} ends in neither .csv nor .json. Give the export one of these endings.",
    "audit.unreadable": "The audit file {path} cannot be read: {reason}. Check the path and its permissions.",
}
