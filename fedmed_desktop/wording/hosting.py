# SPDX-License-Identifier: Apache-2.0
"""Sentences for a person who hosts a federation from a desktop: who may, and why something is not done."""

from typing import Final

SENTENCES: Final = {
    "hosting.no_answer": "The connection to {address} was lost before the coordinator answered. Look whether it was "
    "done, once the connection is back; asking again does no harm.",
    "hosting.no_invitation": "{path} is not linked to a federation as its host. Open it with a host's invitation, "
    "which the coordinator's command line makes with --invite-host.",
    "hosting.offline": "There is no connection to the coordinator at {address}. Nothing was done; try again once it "
    "is back.",
    "hosting.other_folder": "{path} is the data folder of a site or of a coordinator. Choose another folder for the "
    "host.",
    "invitation.of_host": "This is the invitation of {site} as a host. Open it in the desktop, which shows the "
    "federation then; a site needs an invitation of its own.",
    "invitation.of_site": "This is the invitation of {site} as a site, which trains on its notes. A host needs an "
    "invitation of its own.",
    "join.code_of_other_role": "This invitation's code is for another role: a host's lets no site in, and a site's no "
    "host. Ask the host for an invitation of the right kind.",
    "join.is_host": "{site} is a host of this federation, and a host is no site. Join with another data folder and an "
    "invitation of a site.",
    "join.not_host": "{site} is no host of this federation. Ask for a host's invitation at the coordinator.",
    "registry.other_role": "{site} has been in this federation in another role. Choose another name.",
    "storage.of_host": "{path} is the data folder of a host. Choose another folder.",
}
