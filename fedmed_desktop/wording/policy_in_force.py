# SPDX-License-Identifier: Apache-2.0
"""Plain sentences on the policy that is in force at a site, one for each value, with the file that says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from ..federation.policy import InForce, Layer, Policy, Rule
from ..federation.probes import Light
from .figures import written
from .probes import LIGHTS
from .translation import later, together, tr

_DOES: Final = {
    "allow": later("no more than this program asks for by itself"),
    "ask": later("a person must approve"),
    "deny": later("it may not leave"),
}

_DAYS: Final = {
    "mon": later("Monday"),
    "tue": later("Tuesday"),
    "wed": later("Wednesday"),
    "thu": later("Thursday"),
    "fri": later("Friday"),
    "sat": later("Saturday"),
    "sun": later("Sunday"),
}

# By key, or by key and value where there are few of these. Scores are of 100, as on every page.
_CONDITIONS: Final = {
    "federation": later("the federation is {value}"),
    "method": later("the method is {value}"),
    "environment test": later("the federation is a test"),
    "environment production": later("the federation is in production"),
    "kind train": later("an adapter was trained"),
    "kind evaluate": later("only scores are asked for"),
    "most_rank": later("the rank is at most {value}"),
    "over_rank": later("the rank is over {value}"),
    "most_norm_ratio": later("the update is at most {value} times as large as the last one"),
    "over_norm_ratio": later("the update is more than {value} times as large as the last one"),
    "least_f1_gain": later("the score, of 100, changes by {value} or more"),
    "under_f1_gain": later("the score, of 100, changes by less than {value}"),
    "light": later('what it may reveal is rated "{value}" or worse'),
}


class Said(NamedTuple):
    """One sentence. `key`: of the policy, or empty; `path`: of the file, empty where it is about none or several."""

    text: str
    path: str = ""
    key: str = ""


def in_force(policy: InForce) -> Iterator[Said]:
    """One sentence for each value that is in force here."""
    if not policy.layers:
        yield Said(tr("There is no policy: what leaves is decided by the person who is asked, or by --approve-rule."))
        return
    for layer in policy.layers:
        yield from (Said(text, layer.path, key) for text, key in _of_file(layer, policy))
    locked = tr("{key} is locked by this computer's administrator: what {path} says about it does not count.")
    for layer in policy.layers:
        yield from (Said(locked.format(key=key, path=layer.path), "", key) for key in layer.ignored)
    if len(policy.layers) > 1:
        yield Said(tr("Where several files set the same limit, the strictest applies."))


def _of_file(layer: Layer, policy: InForce) -> Iterator[tuple[str, str]]:
    found, strictest = layer.policy, [other.policy for other in policy.layers]
    for text, holds, key in _limits(found, strictest):
        yield together(text, "" if holds else tr("A stricter file applies instead.")), key
    if found.hours:
        yield tr("Updates leave only at these times: {hours}.").format(hours=_hours(found)), "hours"
    if found.approvers is not None:
        names = ", ".join(found.approvers) or tr("nobody")
        yield tr("Only these people may approve: {names}.").format(names=names), "approvers"
    for one in found.deputy:
        text = tr("{name} may approve in place of {other} from {first} to {last}.")
        yield text.format(name=one.name, other=one.instead_of, first=one.first, last=one.last), "deputy"
    if found.four_eyes:
        yield tr("Two different people must approve."), "four_eyes"
    if found.worst_light is not None:
        yield (
            tr('What an adapter may reveal must be rated "{light}" or better.').format(
                light=tr(LIGHTS[found.worst_light])
            ),
            "worst_light",
        )
    for name, value in found.probes.model_dump(exclude_defaults=True).items():
        holds = value == getattr(policy.probing.limits, name, getattr(policy.probing, name, None))
        text = tr("Probes: {name} is {value}.").format(name=name.replace("_", " "), value=value)
        yield together(text, "" if holds else tr("A stricter one applies instead.")), "probes"
    for number, rule in enumerate(found.rule, 1):
        text = tr('Rule {number}, "{name}": {when}{does}.')
        yield text.format(number=number, name=rule.name, when=_when(rule), does=tr(_DOES[rule.action])), "rule"
    rest = tr("Otherwise: {does}.") if found.rule else tr("For every update: {does}.")
    yield rest.format(does=tr(_DOES[found.default])), "default"


def _limits(found: Policy, policies: list[Policy]) -> Iterator[tuple[str, bool, str]]:
    """Sentences about numbers, each with whether no other file has a stricter one, and its key."""
    most = [one.most_rank for one in policies if one.most_rank is not None]
    if found.most_rank is not None:
        text = tr("The rank is at most {most}.").format(most=found.most_rank)
        yield text, found.most_rank == min(most), "most_rank"
    most = [one.most_bytes for one in policies if one.most_bytes is not None]
    if found.most_bytes is not None:
        text = tr("An update has at most {most} bytes.").format(most=written(found.most_bytes))
        yield text, found.most_bytes == min(most), "most_bytes"
    least = [one.least_notes for one in policies if one.least_notes is not None]
    if found.least_notes is not None:
        text = tr("It is trained on at least {least} notes.").format(least=written(found.least_notes))
        yield text, found.least_notes == max(least), "least_notes"
    allowed = [one.most_epsilon for one in policies if one.most_epsilon is not None]
    if found.most_epsilon is not None:
        text = tr("It is trained with differential privacy, and at most epsilon {most} is spent.")
        yield text.format(most=written(found.most_epsilon, "g")), found.most_epsilon == min(allowed), "most_epsilon"
    if found.scalars is not None:
        names = ", ".join(found.scalars) or tr("none")
        yield tr("Of its report only these numbers may leave: {names}.").format(names=names), True, "scalars"


def _hours(policy: Policy) -> str:
    said = tr("{days} {opens} to {closes}")
    windows = (
        said.format(
            days=", ".join(tr(_DAYS[day]) for day in one.days), opens=f"{one.opens:%H:%M}", closes=f"{one.closes:%H:%M}"
        )
        for one in policy.hours
    )
    return tr(" and ").join(windows)


def _when(rule: Rule) -> str:
    """Says the rule's conditions, which all must hold."""
    said = rule.model_dump(exclude={"name", "action"}, exclude_defaults=True)
    words = (_condition(key, value) for key, value in said.items())
    return tr("if {conditions}, ").format(conditions=tr(" and ").join(words)) if said else ""


def _condition(key: str, value: str | float | tuple[str, ...]) -> str:
    if key == "light":
        return tr(_CONDITIONS[key]).format(value=tr(LIGHTS[cast(Light, value)]))
    if isinstance(value, str):
        return tr(_CONDITIONS[f"{key} {value}"])
    if isinstance(value, tuple):
        return tr(_CONDITIONS[key]).format(value=tr(" or ").join(value))
    shown = written(100 * value, "+g") if key.endswith("f1_gain") else written(value, "g")
    return tr(_CONDITIONS[key]).format(value=shown)
