# SPDX-License-Identifier: Apache-2.0
"""Sentences about differential privacy: what does not go together with it, and what its budget allows."""

from typing import Final

SENTENCES: Final = {
    "privacy.delta": "With delta {delta}, one of the {units} notes or patients here could leave entirely "
    "unprotected. Nothing is trained. Ask the host for a delta well below 1/{units}.",
    "privacy.float16": "Differential privacy needs numbers that do not overflow, and this GPU computes in float16. "
    "Train on a GPU with bfloat16, or on the CPU.",
    "privacy.histogram": "{path}: the adapter is protected, but a histogram of the training notes would leave beside "
    'it as exact counts. Write histogram = "none" (in a federation under [share]), or take out [training.privacy].',
    "privacy.importance": "{path}: the adapter is protected, but how important each matrix is would leave beside it, "
    'from gradients without noise. Write ranks_by = "site", or take out [training.privacy].',
    "privacy.layers": "The base model uses the adapter's module {name} in a way in which single notes cannot be told "
    "apart, so nobody can say how much one note changes. Nothing has left. Choose another base model, or a federation "
    "without differential privacy.",
    "privacy.ledger_lost": "The record of what this site has spent of its privacy budget ({path}) has {found} steps, "
    "but its updates took {least}: it was lost, or is an old copy. Nothing is trained, because nobody could tell "
    "how much of the budget is spent. Put the newest copy back.",
    "privacy.no_accountant": "What differential privacy spends cannot be counted, because dp-accounting is missing "
    "here ({reason}). Install fedmed-desktop[site] on this computer.",
    "privacy.no_patient": "The federation protects patients, and some of this site's training notes do not say which "
    "patient they are of. Nothing is trained. Add the patient to each note, or ask the host for "
    'training.privacy.unit = "note".',
    "privacy.no_room": "Nothing is trained, because too little of the privacy budget is left: {spent} of epsilon "
    "{epsilon} is spent, and {steps} more steps would need so much noise that nothing could be learned. This site "
    "can take part with more notes, or in a federation with fewer rounds or steps, or with a larger epsilon.",
    "privacy.outputs": '{path}: fedopal with on = "outputs" ties the notes of a step together, so that one note\'s '
    'share cannot be limited. Write on = "weights", or take out [training.privacy].',
    "privacy.in_both": "Patients or documents in the training notes that are in the validation or test notes too: "
    "{count}. What is measured on those has no noise, so they would not be protected. Nothing is trained. Split "
    "the notes so that all of a patient's or a document's stay together (--check-notes NOTES --split-into FOLDER).",
    "privacy.processes": "Differential privacy is computed by one process, and this site trains in several. Start it "
    "without torchrun.",
    "privacy.scaffold": "{path}: scaffold sends a mean of gradients to which no noise was added. Choose another "
    "method, or take out [training.privacy].",
    "privacy.spent": "The privacy budget, epsilon {epsilon}, has no room for another step. Training has stopped.",
}
