# SPDX-License-Identifier: Apache-2.0
"""Sentences about differential privacy: what does not go together with it, and what its budget allows."""

from typing import Final

from ..federation import Evidence, Plan, Report
from .translation import later, together, tr

STRONG: Final = 1.0
SOME: Final = 10.0
"""Epsilons up to which the promise is called strong, or a promise at all (Ponomareva et al. 2023, tiers 1 and 2)."""

SENTENCES: Final = {
    "privacy.delta": "With delta {delta}, a whole one of the {units} notes or patients here could leave unprotected. "
    "Nothing is trained. Ask the host for a delta well below 1/{units}.",
    "privacy.float16": "Differential privacy needs numbers that do not overflow, and this card computes in float16. "
    "Train on a card with bfloat16, or on the CPU.",
    "privacy.histogram": "{path}: a histogram of the training notes is exact and would leave beside an adapter that is "
    'protected. Write share.histogram = "none", or take out [training.privacy].',
    "privacy.layers": "The base model uses the adapter's module {name} in a way in which single notes cannot be told "
    "apart, so nobody can say how much one note changes. Nothing has left. Choose another base model, or a federation "
    "without differential privacy.",
    "privacy.ledger_lost": "The record of what this site has spent of its privacy budget ({path}) has {found} steps, "
    "but its updates took {least}: it was lost, or is an old copy. Nothing is trained, since more would be spent than "
    "anybody counts. Put the newest copy back.",
    "privacy.no_patient": "The federation protects patients, and some of this site's training notes do not say which "
    "patient they are of. Nothing is trained. Add the patient to each note, or ask the host for "
    'training.privacy.unit = "note".',
    "privacy.no_room": "Nothing is trained: of the privacy budget, epsilon {epsilon}, {spent} is spent, and {steps} "
    "more steps would fit only with so much noise that nothing could be learned. This site can take part with more "
    "notes, or in a federation with fewer rounds or steps, or with a larger epsilon.",
    "privacy.outputs": '{path}: fedopal with on = "outputs" ties the notes of a step together, so that one note\'s '
    'share cannot be limited. Write on = "weights", or take out [training.privacy].',
    "privacy.patient_in_both": "Patients with notes in both the training and the validation notes: {count}. What is "
    "measured on validation notes has no noise, so these patients would not be protected. Nothing is trained. Split "
    "the notes by patient (--check-notes NOTES --split-into FOLDER).",
    "privacy.processes": "Differential privacy is computed by one process, and this site trains in several. Start it "
    "without torchrun.",
    "privacy.scaffold": "{path}: scaffold sends a mean of gradients to which no noise was added. Choose another "
    "method, or take out [training.privacy].",
    "privacy.spent": "The privacy budget, epsilon {epsilon}, has no room for another step. Training has stopped.",
}


_DEGREES: Final = (
    (STRONG, later("Strongly protected by differential privacy.")),
    (SOME, later("Protected to some degree by differential privacy.")),
)
_HARDLY: Final = later("Hardly protected by differential privacy: its epsilon is too large.")
_COUNTED: Final = {
    "note": later(
        "Counted by note, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta})."
    ),
    "patient": later(
        "Counted by patient, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta})."
    ),
}


def protection(plan: Plan, report: Report, evidence: Evidence) -> str:
    """What differential privacy promises about an update, in words before numbers; "" where there is none."""
    privacy, spent = plan.training.privacy, evidence.epsilon_spent
    if privacy is None or spent is None:
        return ""
    left = max(0.0, privacy.epsilon - spent) if report.epsilon_left is None else report.epsilon_left
    degree = next((words for most, words in _DEGREES if spent <= most), _HARDLY)
    numbers = {
        "spent": f"{spent:.2f}",
        "total": f"{spent + left:.2f}",
        "left": f"{left:.2f}",
        "delta": f"{privacy.delta:g}",
    }
    counted = tr(_COUNTED[privacy.unit]).format(**numbers)
    return together(tr(degree), counted, tr("That is the adapter's: the numbers beside it are exact."))
