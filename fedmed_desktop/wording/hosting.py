# SPDX-License-Identifier: Apache-2.0
"""Sentences for a person who hosts a federation from a desktop: who may, and why something is not done."""

from typing import Final

SENTENCES: Final = {
    "hosting.combining": "The updates of round {round} are being combined. Try again once that is done.",
    "hosting.finished": "The federation has finished already.",
    "hosting.is_paused": "The federation is paused already. Resume it first.",
    "hosting.no_answer": "The connection to {address} was lost before the coordinator answered. Once it is back, "
    "check whether it was done; asking again does no harm.",
    "hosting.no_invitation": "{path} is not linked to a federation as its host. Open it with a host's invitation, "
    "which the coordinator's command line makes with --invite-host.",
    "hosting.no_quorum": "Round {round} cannot be closed: it has {updates} of the {quorum} updates that it needs.",
    "hosting.not_a_site": "{site} is a host. Hosts are invited and removed at the coordinator, with --invite-host and "
    "--revoke.",
    "hosting.not_paused": "The federation is not paused.",
    "hosting.nothing_closed": "No round has been closed yet, so there is no adapter of this federation to publish.",
    "hosting.offline": "There is no connection to the coordinator at {address}. Nothing was done; try again once it "
    "is back.",
    "hosting.other_adapter": "Another round has closed in the meantime, so there is a newer common adapter. Look at "
    "that one, then publish it.",
    "hosting.other_folder": "{path} is the data folder of a site or of a coordinator. Choose another folder for the "
    "host.",
    "hosting.other_key": "{site} now has a different key from the one whose words you compared. Compare the six "
    "words again.",
    "hosting.other_round": "The federation has moved on to round {round}, attempt {attempt}. Look at it, then decide "
    "again.",
    "hosting.replayed": "This was already asked on this connection, and is done only once.",
    "hosting.too_few_sites": "Round 1 cannot begin: {sites} of the {quorum} sites that a round needs have joined.",
    "invitation.of_host": "This is the invitation of {site} as a host. Open it in the desktop, which shows the "
    "federation then; a site needs an invitation of its own.",
    "invitation.of_site": "This is the invitation of {site} as a site, which trains on its notes. A host needs an "
    "invitation of its own.",
    "join.code_of_other_role": "This invitation is for another role: a site cannot use a host's invitation, nor a host "
    "a site's. Ask the host for the right one.",
    "join.is_host": "{site} is a host of this federation, not a site. To take part as a site, join with another data "
    "folder and a site's invitation.",
    "join.not_host": "{site} is not a host of this federation. Ask for a host's invitation at the coordinator.",
    "limit.acts": "Too much was asked for within a minute. Wait a minute, then go on.",
    "registry.other_role": "{site} has been in this federation in another role. Choose another name.",
    "storage.of_host": "{path} is the data folder of a host. Choose another folder.",
}
