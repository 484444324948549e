# SPDX-License-Identifier: Apache-2.0
"""Founding a federation: what is typed, and the settings that come of it. No Qt; judging.py says what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from ...coordinator.founding import USUAL_TRAINING, needs_of, usual_quorum
from ...scores import TASKS, TaskName
from ...wording import later
from ..work.hosted import KEEP_UPDATES, LOOPBACK

FieldName = Literal[
    "name", "model", "begin_with", "tasks", "types", "modifiers", "rounds", "hours", "sites", "quorum",
    "method", "notes", "passes", "clients", "decide", "rank", "epsilon",
    "address", "port", "folder", "public_port", "certificate", "key", "keep",
]  # fmt: skip
# The model, the adapter, notes, the port, the folder and a certificate are judged by looking at them: files.py does.
# What may stay empty; the hint of each says what holds then.
OPTIONAL: Final[frozenset[FieldName]] = frozenset(
    {"begin_with", "clients", "epsilon", "public_port", "certificate", "keep"}
)

USUAL_PORT: Final = 8765
SHARED_NOTES: Final = 5  # as many as Fed-MedLoRA+ weighs by (arXiv 2601.22124)
_SCALE: Final = 4.0  # alpha / rank of Fed-MedLoRA (arXiv 2601.22124), which another rank keeps

# In the order of the choices; the first is the usual one. Each with what it means.
REACHES: Final = {
    "network": later("Other computers, over the network (encrypted)"),
    "here": later("Only this computer, to try it out"),
}
ENVIRONMENTS: Final = {
    "test": later("Test: its results are not for use"),
    "production": later("Production: its results are meant to be used"),
}
UNITS: Final = {
    "patient": later("Each patient"),
    "note": later("Each note"),
}


@dataclass(frozen=True)
class HostForm:
    """The fields as typed. `model` "" is the bundled one; `address` without the port.

    `hours` of a round's training, `decide`: hours for each decision after it. `passes` over a site's notes in a round.
    `clients`: sites that are asked in a round. `epsilon` in all rounds together, for every `unit`. `public_port`: the
    one by which sites come, where it is not `port`. `keep`: closed rounds whose updates stay.
    """

    name: str = ""
    model: str = ""
    other_model: bool = False
    begin_with: str = ""
    tasks: frozenset[TaskName] = frozenset({"entities"})
    types: str = ""
    modifiers: str = ""
    rounds: str = "3"
    hours: str = "4"
    sites: str = "3"
    quorum: str = "2"
    environment: Literal["test", "production"] = "test"
    method: str = "fed_medlora"
    notes: str = ""
    passes: str = "1"
    clients: str = ""
    decide: str = "24"
    rank: str = "16"
    epsilon: str = ""
    unit: Literal["patient", "note"] = "patient"
    reach: Literal["network", "here"] = "network"
    address: str = ""
    port: str = str(USUAL_PORT)
    confirm: bool = True
    folder: str = ""
    public_port: str = ""
    certificate: str = ""
    key: str = ""
    keep: str = str(KEEP_UPDATES)

    @property
    def needed(self) -> tuple[FieldName, ...]:
        """Fields that this federation has, in the order in which they stand on the page."""
        left_out: set[FieldName] = set()
        if not self.other_model:
            left_out.add("model")
        if not self.marks:
            left_out.add("types")
        if "relations" not in self.tasks:
            left_out.add("modifiers")
        if self.reach == "here":
            left_out |= {"address", "public_port", "certificate"}
        if self.reach == "here" or not self.certificate:
            left_out.add("key")
        if not self.weighs_by_notes:
            left_out.add("notes")
        return tuple(name for name in _ALL if name not in left_out)

    @property
    def marks(self) -> bool:
        """Tells whether the tasks need types of entities."""
        return bool(self.tasks & {"entities", "relations"})

    @property
    def weighs_by_notes(self) -> bool:
        """Tells whether the method measures each update on public notes, which the founder chooses."""
        return needs_of(self.method, types=True, shared_notes=False).code == "methods.no_shared_notes"

    @property
    def public(self) -> str:
        """Address at which sites find the coordinator."""
        if self.reach == "here":
            return f"{LOOPBACK}:{self.port}"
        host, port = self.address, self.public_port or self.port
        return f"[{host}]:{port}" if ":" in host.strip("[]") and "[" not in host else f"{host}:{port}"

    @property
    def shows_certificate(self) -> bool:
        """Tells whether the coordinator shows a certificate of an authority, not one of its own making."""
        return bool(self.certificate) and self.reach == "network"


_ALL: Final[tuple[FieldName, ...]] = FieldName.__args__  # type: ignore[attr-defined]


def slug(name: str) -> str:
    """A name as a folder of every system can have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "federation"


def settings(form: HostForm) -> dict[str, Any]:
    """The specification's settings, as `--new-federation` hands them to the same function; without base and adapter.

    For a form of which every verdict is right.
    """
    needs = needs_of(form.method, types=form.marks, shared_notes=form.weighs_by_notes)
    return {
        "name": form.name.strip(),
        "environment": form.environment,
        "tasks": [task for task in TASKS if task in form.tasks],
        "types": listed(form.types) if form.marks else (),
        "modifiers": listed(form.modifiers) if "relations" in form.tasks else (),
        "rounds": int(form.rounds),
        "method": {"name": form.method} | needs.method,
        "training": {**USUAL_TRAINING, "epochs": number(form.passes)} | _privacy(form),
        "round": {
            "sites": int(form.sites),
            "quorum": int(form.quorum),
            "training_minutes": 60 * number(form.hours),
            "approval_minutes": 60 * number(form.decide),
        }
        | ({"clients": int(form.clients)} if form.clients else {}),
        "share": needs.share,
    }


def lora(form: HostForm) -> dict[str, float]:
    """Rank of the first adapter, at the usual scale."""
    return {"rank": int(form.rank), "alpha": _SCALE * int(form.rank)}


def _privacy(form: HostForm) -> dict[str, Any]:
    return {"privacy": {"epsilon": number(form.epsilon), "unit": form.unit}} if form.epsilon else {}


def quorum_for(sites: str, clients: str = "") -> str:
    """The usual quorum for what is typed as the number of sites, and of those asked; "" where that is no number."""
    asked = [int(typed) for typed in (sites, clients) if typed.isdecimal()]
    return str(usual_quorum(min(asked))) if sites.isdecimal() else ""


def listed(typed: str) -> tuple[str, ...]:
    """Words separated by commas, as a specification writes them: "Adverse event" is adverse_event."""
    words = ("_".join(word.lower().split()) for word in typed.split(","))
    return tuple(dict.fromkeys(word for word in words if word))


def number(typed: str) -> float:
    """Number with a comma, as most of Europe writes it, or a point. Raises ValueError."""
    return float(typed.replace(",", "."))
