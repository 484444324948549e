# SPDX-License-Identifier: Apache-2.0
"""Sentences about founding a federation in the desktop, and about the coordinator that the desktop starts."""

from typing import Final

SENTENCES: Final = {
    "founding.federation_there": "There is already a federation in {path}. Choose another folder: nothing "
    "is overwritten.",
    "founding.folder_closed": "Nothing can be written in {path}. Choose another folder.",
    "founding.folder_taken": "{path} contains other files. Choose a new folder, or an empty one.",
    "founding.not_started": "The coordinator could not be started: {reason}.",
    "founding.port_taken": "Port {port} is used by another program on this computer. Choose another, such as {free}.",
    "founding.ports_taken": "Port {port} and those after it are used by other programs on this computer. Choose "
    "another.",
}
