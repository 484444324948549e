# SPDX-License-Identifier: Apache-2.0
"""Sentences about the desktop and the demonstration."""

from typing import Final

SENTENCES: Final = {
    "demo.no_notes": "There is no notes folder at {path}. Choose a folder with one folder for each site.",
    "demo.paused": "Round {round} stopped twice because too few updates were sent. Read above what each site says, "
    "then start again.",
    "demo.too_few_sites": "{path} has notes of {found} sites, but {wanted} are needed. Add folders or lower --sites.",
    "desktop.crashed": "The program crashed the last time it ran. Nothing was sent because of that, and your site goes "
    "on where it was. If it happens again, make a support bundle (Settings) for whoever helps you; it goes nowhere by "
    "itself.",
    "desktop.fault": "Something unexpected went wrong in the program ({kind}). Nothing was sent because of it. "
    "Start the program again; if this happens again, send the log file to the person who supports the program.",
    "desktop.interrupted": "Training was interrupted in round {round}, at step {step} of {steps}. It goes on from the "
    "last saved step as soon as the coordinator answers; if the round has closed meanwhile, with the next round.",
    "desktop.interrupted_anew": "Training was interrupted in round {round}, at step {step} of {steps}, before anything "
    "was saved. It begins anew as soon as the coordinator answers; if the round has closed meanwhile, with the next "
    "round.",
    "desktop.merge_quantised": "The model in {path} is kept in few bits, and no adapter can be merged into that. Save "
    "the adapter as a PEFT folder, or choose the whole model.",
    "desktop.not_asked": "The round has moved on; this update is no longer needed. Nothing was sent.",
    "desktop.no_display": "There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take part "
    "with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.",
    "desktop.no_question": "There is no question. Write what you want to know about the note.",
    "desktop.no_path": "This is not a file or folder on this computer. Choose one with Browse.",
    "desktop.note_binary": "{name} is not a text file. Open a note as plain text, or copy its text and paste it.",
    "desktop.note_encoding": "{name} is not in UTF-8. Save it as UTF-8 text, or copy its text and paste it.",
    "desktop.note_too_long": "This note has more than {limit} characters. Shorten it, or read it in parts.",
    "desktop.not_empty": "{path} is there already and holds files. Choose another name: nothing is written over.",
    "desktop.not_written": "{path} could not be saved: {reason}. Choose another folder or name.",
    "desktop.options_few": "A question needs at least two answers to choose from. Write | between them.",
    "desktop.options_many": "These are too many answers: {limit} at most. Leave some out.",
    "desktop.other_model": "This adapter was made for another model. Choose one that was made for this model.",
    "desktop.qt_libraries": "Qt cannot start because these system libraries are missing: {libraries}. To install "
    "them: {how}",
    "desktop.qt_missing": "The desktop needs {package}, which is not installed. In the checkout: "
    'python -m pip install ".[desktop]"',
    "desktop.qt_pair": "PySide6 {qt} crashes Python {python} within minutes, because it frees None. Install an earlier "
    'one: python -m pip install "PySide6-Essentials<6.12"',
    "desktop.second": "Another fedmed-desktop has the folder {path} open. This one saves no settings and no log, and "
    "cannot take part in the other one's federation. Close one of them, or start with another --data-dir.",
    "desktop.settings_broken": "The settings could not be read. They were moved to {path}, and the program starts with "
    "the default settings.",
    "desktop.type_word": "{name} cannot be a type. Write plain words separated by commas, such as drug, problem.",
    "desktop.types_ignored": "None of the types in these notes ({found}) is part of the federation, so nothing could "
    'be learned. Add a types map with rows such as Chemical = "drug".',
    "desktop.types_many": "You can look for at most {limit} types at a time. Name fewer types.",
}
