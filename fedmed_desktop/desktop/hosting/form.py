# SPDX-License-Identifier: Apache-2.0
"""Founding a federation: what is typed, whether each field is right, and the settings that come of it. No Qt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ...coordinator.founding import needs_of, usual_quorum
from ...errors import UserFacingError
from ...federation import FederationSpec
from ...federation.spec import checked_spec
from ...protocol.invitation import is_address
from ...scores import TASKS, TaskName
from ...wording import later, told, tr
from ..look.fields import EMPTY, Verdict
from ..work.hosted import LOOPBACK

FieldName = Literal[
    "name", "model", "tasks", "types", "modifiers", "rounds", "sites", "quorum", "hours",
    "method", "notes", "address", "port", "folder",
]  # fmt: skip
# What can only be judged by looking at this computer: files.py does, beside the GUI thread.
LOOKED_AT: Final[tuple[FieldName, ...]] = ("model", "notes", "port", "folder")

USUAL_PORT: Final = 8765
SHARED_NOTES: Final = 5  # as many as Fed-MedLoRA+ weighs by (arXiv 2601.22124)
# Bounds of what a person may mean (inferred); the specification allows more.
MOST_SITES: Final = 1_000
MOST_ROUNDS: Final = 10_000
MOST_HOURS: Final = 24 * 365
_LEAST_PORT: Final = 1_024  # below it only administrators may listen
_NOBODYS: Final = frozenset({"localhost", LOOPBACK, "0.0.0.0", "::", "::1", "[::1]"})

# In the order of the choices; the first is the usual one. Each with what it means.
REACHES: Final = {
    "network": later("Other computers, over the network (encrypted)"),
    "here": later("Only this computer, to try it out"),
}
ENVIRONMENTS: Final = {
    "test": later("Test: what comes of it does not count"),
    "production": later("Production: what comes of it is meant to be used"),
}


@dataclass(frozen=True)
class HostForm:
    """The fields as typed. `model` "" is the bundled one; `hours` of a round's training; `address` without the port."""

    name: str = ""
    model: str = ""
    other_model: bool = False
    tasks: frozenset[TaskName] = frozenset({"entities"})
    types: str = ""
    modifiers: str = ""
    rounds: str = "3"
    sites: str = "3"
    quorum: str = "2"
    hours: str = "4"
    environment: Literal["test", "production"] = "test"
    method: str = "fed_medlora"
    notes: str = ""
    reach: Literal["network", "here"] = "network"
    address: str = ""
    port: str = str(USUAL_PORT)
    confirm: bool = True
    folder: str = ""

    @property
    def needed(self) -> tuple[FieldName, ...]:
        """Fields that this federation has, in the order in which they stand on the page."""
        left_out: set[FieldName] = set()
        if not self.other_model:
            left_out.add("model")
        if not self.tasks & {"entities", "relations"}:
            left_out.add("types")
        if "relations" not in self.tasks:
            left_out.add("modifiers")
        if self.reach == "here":
            left_out.add("address")
        if not self.weighs_by_notes:
            left_out.add("notes")
        return tuple(name for name in _ALL if name not in left_out)

    @property
    def weighs_by_notes(self) -> bool:
        """Tells whether the method measures each update on public notes, which the founder chooses."""
        return needs_of(self.method, types=True, shared_notes=False).code == "methods.no_shared_notes"

    @property
    def public(self) -> str:
        """Address at which sites find the coordinator."""
        host = self.address if self.reach == "network" else LOOPBACK
        return f"[{host}]:{self.port}" if ":" in host.strip("[]") and "[" not in host else f"{host}:{self.port}"


_ALL: Final[tuple[FieldName, ...]] = FieldName.__args__  # type: ignore[attr-defined]


def slug(name: str) -> str:
    """A name as a folder of every system can have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "federation"


def verdicts(form: HostForm, known: tuple[str, ...] | None = None) -> dict[FieldName, Verdict]:
    """Verdict on each field that can be judged by what is typed alone. `known`: names and addresses of this computer;
    None while they are looked up.
    """
    found: dict[FieldName, Verdict] = {
        "name": _caught(form.name, _name),
        "tasks": _tasks(form.tasks),
        "types": _caught(form.types, _listed),
        "modifiers": _modifiers(form),
        "rounds": _caught(form.rounds, lambda typed: _whole(typed, 1, MOST_ROUNDS)),
        "sites": _caught(form.sites, lambda typed: _whole(typed, 1, MOST_SITES)),
        "quorum": _quorum(form),
        "hours": _caught(form.hours, _hours),
        "method": _method(form),
        "address": _address(form, known),
    }
    return {name: verdict for name, verdict in found.items() if name in form.needed}


def port_verdict(typed: str) -> Verdict:
    """Verdict on the number alone; whether it is free is looked up later."""
    return _caught(typed, lambda text: _whole(text, _LEAST_PORT, 65_535))


def settings(form: HostForm) -> dict[str, Any]:
    """The specification's settings, as `--new-federation` hands them to the same function; without the base model.

    For a form of which every verdict is right.
    """
    marks = bool(form.tasks & {"entities", "relations"})
    types = listed(form.types) if marks else ()
    needs = needs_of(form.method, types=marks, shared_notes=form.weighs_by_notes)
    return {
        "name": form.name.strip(),
        "environment": form.environment,
        "tasks": [task for task in TASKS if task in form.tasks],
        "types": types,
        "modifiers": listed(form.modifiers) if "relations" in form.tasks else (),
        "rounds": int(form.rounds),
        "method": {"name": form.method} | needs.method,
        "training": {"epochs": 1.0},
        "round": {
            "sites": int(form.sites),
            "quorum": int(form.quorum),
            "training_minutes": 60 * float(form.hours.replace(",", ".")),
        },
        "share": needs.share,
    }


def quorum_for(sites: str) -> str:
    """The usual quorum for what is typed as the number of sites; "" where that is no number."""
    return str(usual_quorum(int(sites))) if sites.isdecimal() else ""


def listed(typed: str) -> tuple[str, ...]:
    """Words separated by commas, as a specification writes them: "Adverse event" is adverse_event."""
    words = ("_".join(word.lower().split()) for word in typed.split(","))
    return tuple(dict.fromkeys(word for word in words if word))


# -- each field --------------------------------------------------------------------------------------------------------


def _caught(typed: str, check: Callable[[str], str]) -> Verdict:
    """EMPTY for nothing typed; wrong with the sentence of what `check` raises (ValueError, UserFacingError)."""
    if not typed.strip():
        return EMPTY
    try:
        return Verdict("right", check(typed.strip()))
    except UserFacingError as error:
        return Verdict("wrong", told(error))
    except ValueError as error:
        return Verdict("wrong", str(error))


def _name(typed: str) -> str:
    if len(typed) > 80:
        raise ValueError(tr("At most 80 letters."))
    return ""


def _tasks(chosen: frozenset[TaskName]) -> Verdict:
    if not chosen:
        return Verdict("wrong", tr("Choose at least one."))
    if "text" in chosen and len(chosen) > 1:
        return Verdict("wrong", tr("Plain text is learned without labels and goes with nothing else: choose it alone."))
    return Verdict("right")


def _listed(typed: str) -> str:
    words = listed(typed)
    if wrong := [word for word in words if not word.isidentifier()]:
        raise UserFacingError("desktop.type_word", name=wrong[0].replace("_", " ")[:40])
    if not words:
        raise UserFacingError("desktop.type_word", name=typed[:40])
    return tr("In the file: {words}.").format(words=", ".join(words)) if ", ".join(words) != typed else ""


def _modifiers(form: HostForm) -> Verdict:
    verdict = _caught(form.modifiers, _listed)
    both = set(listed(form.modifiers)) & set(listed(form.types))
    if verdict.state == "right" and both:
        return Verdict("wrong", tr("{word} is a type already.").format(word=min(both)))
    return verdict


def _whole(typed: str, least: int, most: int) -> str:
    if not typed.isdecimal() or not least <= int(typed) <= most:
        raise ValueError(tr("A whole number from {least} to {most:,}.").format(least=least, most=most))
    return ""


def _quorum(form: HostForm) -> Verdict:
    verdict = _caught(form.quorum, lambda typed: _whole(typed, 1, MOST_SITES))
    if verdict.state == "right" and form.sites.isdecimal() and int(form.quorum) > int(form.sites):
        return Verdict("wrong", tr("More than the sites that are expected: no round could close."))
    if verdict.state == "right" and form.quorum == "1" and form.sites != "1":
        return Verdict("right", tr("A round may close with one site alone."), warns=True)
    return verdict


def _hours(typed: str) -> str:
    try:
        hours = float(typed.replace(",", "."))
    except ValueError:
        hours = 0.0
    if not 0 < hours <= MOST_HOURS:
        raise ValueError(tr("A number of hours, such as 4, or 0.5 for half an hour."))
    return ""


def _method(form: HostForm) -> Verdict:
    """Verdict on the method; also on fields that are right alone but do not go together, as the specification says."""
    counted = needs_of(form.method, types=bool(form.tasks & {"entities", "relations"}), shared_notes=True).share
    try:
        _in_all(form)
    except UserFacingError as error:
        return Verdict("wrong", told(error))
    except ValueError:  # another field is not right yet
        return Verdict("right")
    if counted.get("histogram") == "types":
        return Verdict("right", tr("Each site reports how many entities of each type its notes have."), warns=True)
    if counted:
        return Verdict("right", tr("Each site reports how many notes of each specialty it has."), warns=True)
    return Verdict("right")


def _in_all(form: HostForm) -> FederationSpec:
    """The specification with a stand-in for the base model. Raises ValueError, UserFacingError."""
    stand_in = replace(
        form, name=form.name.strip()[:80] or "-", types=form.types or "type", modifiers=form.modifiers or "modifier"
    )
    base = {"fingerprint": "0" * 64, "initial": "0" * 64, "modules": {"layer": (1, 1)}}
    rest = settings(stand_in)
    if form.weighs_by_notes:
        rest["shared_notes"] = ({"text": "-"},)
    return checked_spec({"base": base, "lora": {}, "seed": 0, **rest}, tr("These settings"))


def _address(form: HostForm, known: tuple[str, ...] | None) -> Verdict:
    typed = form.address.strip()
    if known == ():
        return Verdict(
            "wrong",
            tr("This computer is in no network now. Connect it, or try the federation out on this computer alone."),
        )
    if not typed:
        return EMPTY
    port = form.port if port_verdict(form.port).state == "right" else str(USUAL_PORT)
    if "/" in typed or " " in typed or not is_address(replace(form, address=typed, port=port).public):
        return Verdict("wrong", tr("A name or an address without a port, such as federation.example.org or 10.0.0.12."))
    if typed.lower() in _NOBODYS:
        return Verdict("wrong", tr("Other computers cannot find this one by that. Give its name in the network."))
    if known and typed.lower() not in map(str.lower, known):
        told_of = tr("This computer does not know itself by it. Right if your network leads it here: {known}.")
        return Verdict("right", told_of.format(known=", ".join(known[:3])), warns=True)
    return Verdict("right")
