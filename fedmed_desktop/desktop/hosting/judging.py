# SPDX-License-Identifier: Apache-2.0
"""Verdicts on the form that founds a federation: what is wrong with a field, as far as what is typed tells. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from ...coordinator.founding import needs_of
from ...errors import UserFacingError
from ...federation import FederationSpec
from ...federation.spec import checked_spec
from ...protocol.invitation import is_address
from ...scores import TaskName
from ...wording import later, told, tr
from ..look.fields import EMPTY, Verdict
from ..work.hosted import LOOPBACK
from .form import USUAL_PORT, FieldName, HostForm, listed, lora, number, settings

# Bounds of what a person may mean (inferred); the specification allows more.
MOST_SITES: Final = 1_000
MOST_ROUNDS: Final = 10_000
MOST_HOURS: Final = 24 * 365
MOST_PASSES: Final = 1_000
MOST_RANK: Final = 1_024
MOST_EPSILON: Final = 100
LITTLE_PRIVACY: Final = 10  # an epsilon above it says little (Ponomareva et al. 2023)
_UNPROTECTED: Final = later(
    "This method shares numbers that noise does not protect. Choose another one, or leave this empty."
)
_LEAST_PORT: Final = 1_024  # below it only administrators may listen
_NOBODYS: Final = frozenset({"localhost", LOOPBACK, "0.0.0.0", "::", "::1", "[::1]"})


def verdicts(form: HostForm, known: tuple[str, ...] | None = None) -> dict[FieldName, Verdict]:
    """Verdict on each field that can be judged by what is typed alone. `known`: names and addresses of this computer;
    None while they are looked up.
    """
    own: dict[FieldName, Verdict] = {
        "name": _caught(form.name, _name),
        "tasks": _tasks(form.tasks),
        "types": _caught(form.types, _listed),
        "modifiers": _modifiers(form),
        "rounds": _caught(form.rounds, lambda typed: _whole(typed, 1, MOST_ROUNDS)),
        "hours": _caught(form.hours, _hours),
        "sites": _caught(form.sites, lambda typed: _whole(typed, 1, MOST_SITES)),
        "quorum": _quorum(form),
        "passes": _caught(form.passes, _passes),
        "clients": _clients(form),
        "decide": _caught(form.decide, _hours),
        "rank": _caught(form.rank, lambda typed: _whole(typed, 1, MOST_RANK)),
        "address": _address(form, known),
        "public_port": _caught(form.public_port, lambda typed: _whole(typed, 1, 65_535)),
        "keep": _caught(form.keep, lambda typed: _whole(typed, 0, MOST_ROUNDS)),
    }
    needed = form.needed
    is_sound = all(verdict.state != "wrong" for name, verdict in own.items() if name in needed)
    method = _method(form) if is_sound else Verdict("right")
    noise = _caught(form.epsilon, partial(_epsilon, form, is_sound and method.state == "right"), warns=True)
    found: dict[FieldName, Verdict] = {**own, "method": method, "epsilon": noise}
    return {name: verdict for name, verdict in found.items() if name in needed}


def port_verdict(typed: str) -> Verdict:
    """Verdict on the number alone; whether it is free is looked up later."""
    return _caught(typed, lambda text: _whole(text, _LEAST_PORT, 65_535))


def _caught(typed: str, check: Callable[[str], str], warns: bool = False) -> Verdict:
    """EMPTY for nothing typed; wrong with the sentence of what `check` raises (ValueError, UserFacingError)."""
    if not typed.strip():
        return EMPTY
    try:
        return Verdict("right", check(typed.strip()), warns)
    except UserFacingError as error:
        return Verdict("wrong", told(error))
    except ValueError as error:
        return Verdict("wrong", str(error))


# -- what is learned ---------------------------------------------------------------------------------------------------


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


# -- how it goes -------------------------------------------------------------------------------------------------------


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


def _clients(form: HostForm) -> Verdict:
    verdict = _caught(form.clients, lambda typed: _whole(typed, 1, MOST_SITES))
    if verdict.state == "right" and form.quorum.isdecimal() and int(form.clients) < int(form.quorum):
        return Verdict("wrong", tr("Fewer than the sites that a round needs: no round could close."))
    return verdict


def _hours(typed: str) -> str:
    return _positive(typed, MOST_HOURS, tr("A number of hours, such as 4, or 0.5 for half an hour."))


def _passes(typed: str) -> str:
    return _positive(typed, MOST_PASSES, tr("A number, such as 1, or 0.5 for half of the notes."))


def _positive(typed: str, most: float, sentence: str) -> str:
    """Raises ValueError with the sentence where it is no number above 0, up to `most`."""
    try:
        found = number(typed)
    except ValueError:
        found = 0.0
    if not 0 < found <= most:
        raise ValueError(sentence)
    return ""


def _epsilon(form: HostForm, is_sound: bool, typed: str) -> str:
    """Checks also what does not go together with noise, which the specification itself says if the form `is_sound`."""
    _positive(typed, MOST_EPSILON, tr("A number above 0, up to {most}.").format(most=MOST_EPSILON))
    if is_sound:
        try:
            _in_all(form)
        except UserFacingError:
            raise ValueError(tr(_UNPROTECTED)) from None
        except ValueError:  # another field is still empty
            return ""
    if number(typed) > LITTLE_PRIVACY:
        return tr("Above {little} it protects little.").format(little=LITTLE_PRIVACY)
    return tr("Sites add noise as they train. With few notes, little is learned.")


def _method(form: HostForm) -> Verdict:
    """Verdict on all that does not go together although each field is right, which the specification itself says."""
    counted = needs_of(form.method, types=form.marks, shared_notes=True).share
    try:
        _in_all(replace(form, epsilon=""))
    except UserFacingError as error:
        return Verdict("wrong", told(error))
    except ValueError:  # another field is still empty
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
    return checked_spec({"base": base, "lora": lora(stand_in), "seed": 0, **rest}, tr("These settings"))


# -- where it is served ------------------------------------------------------------------------------------------------


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
    if "/" in typed or " " in typed or not is_address(replace(form, address=typed, port=port, public_port="").public):
        return Verdict("wrong", tr("A name or an address without a port, such as federation.example.org or 10.0.0.12."))
    if typed.lower() in _NOBODYS:
        return Verdict(
            "wrong", tr("Other computers cannot find this one by that address. Give its name in the network.")
        )
    if known and typed.lower() not in map(str.lower, known):
        told_of = tr(
            "This computer knows itself by other addresses: {known}. This one is fine if your network leads it here."
        )
        return Verdict("right", told_of.format(known=", ".join(known[:3])), warns=True)
    return Verdict("right")
