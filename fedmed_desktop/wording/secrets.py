# SPDX-License-Identifier: Apache-2.0
"""Sentences about where a secret key lies, and about one that cannot be had."""

from typing import Final

SENTENCES: Final = {
    # Where it lies: secret.at, and why it is not in the keyring: secret.why
    "secret.at.keyring": "The secret key is in this account's keyring ({detail}).",
    "secret.at.file": "The secret key is in the file {detail}. Only this account can read it, but it is not "
    "encrypted: do not copy it, and leave it out of backups that others can read.",
    "secret.at.credential": "The secret key is read from {detail}, as set up by the administrator of this computer.",
    "secret.why.no_screen": "It is not in a keyring because the program was started without a screen.",
    "secret.why.no_store": "It is not in a keyring because this computer has none that can be used.",
    "secret.why.plaintext": "It is not in a keyring because the one of this account writes secrets as plain text or "
    "asks for a password in a terminal.",
    "secret.why.locked": "It is not in a keyring because the keyring was locked when the key was made.",
    "secret.why.silent": "It is not in a keyring because the keyring did not answer in time when the key was made.",
    "secret.why.forgetful": "It is not in a keyring because the keyring did not give back what was stored in it.",
    "secret.why.refused": "It is not in a keyring because the keyring refused to store it.",
    "secret.why.coordinator": "It is not in a keyring because a coordinator must start without anybody signed in.",
    # What is wrong
    "secret.damaged": "{path} does not hold a secret key: 64 hexadecimal digits are needed. Restore it from a backup, "
    "or give the right file.",
    "secret.folder_owner": "The folder {path} belongs to another account, which could take the secret key out of it. "
    "Choose another --data-dir, or sign in with that account.",
    "secret.keyring_fault": "The keyring ({keyring}), which holds the secret key, cannot be used right now. Check "
    "that it works for other programs, then try again.",
    "secret.locked": "The keyring ({keyring}), which holds the secret key, is locked. Unlock it, then try again.",
    "secret.lost": "The keyring ({keyring}) no longer has the secret key of this data folder. Restore the keyring from "
    "a backup. If that is not possible, remove {path} and ask the host for a new invitation with a new key.",
    "secret.no_credential": "The administrator of this computer provides the secret key of the folder {path}, but "
    "did not at this start. Start the program as a service again, or name the key's file in FEDMED_SITE_KEY_FILE "
    "(for a coordinator: FEDMED_COORDINATOR_KEY_FILE).",
    "secret.no_file": "The secret key is missing: there is no file {path}. Restore it from a backup. If that is not "
    "possible, remove identity.json from the data folder; a site then needs a new invitation with a new key.",
    "secret.no_store": "The secret key is in a keyring ({keyring}), but none can be used right now. Start the "
    "program in a desktop session of the account that joined, then try again.",
    "secret.other_credential": "The secret key in {path} is not the one that the folder {folder} was made with. Give "
    "the earlier key, or another --data-dir.",
    "secret.other_key": "The secret key that was found is not the one of this data folder (fingerprint {fingerprint} "
    "in {path}). Restore both from the same backup.",
    "secret.readable": "Other accounts of this computer can read the secret key in {path}, so it is not used. If "
    "nobody else can have read it, make it private (chmod 600) and start again. Otherwise remove it together with "
    "identity.json; a site then needs a new invitation with a new key.",
    "secret.silent": "The keyring ({keyring}), which holds the secret key, does not answer. It may be waiting for "
    "its password in a window: enter it, then try again.",
}
