# SPDX-License-Identifier: Apache-2.0
"""`--check-policy`: the policy that is in force at this site, in plain sentences, each with the file that says it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..federation.policy import InForce, Layer, Policy, Rule
from ..site.policy_file import PolicyFiles, check_policy

_DOES = {
    "allow": "no more than this program asks for by itself",
    "ask": "a person must approve",
    "deny": "it may not leave",
}


EXAMPLE = """\
# Everything here is optional. A policy only ever tightens what the program does by itself.
most_rank = 32                     # of an adapter
most_bytes = 100_000_000           # of an update
least_notes = 50                   # that it was trained on
most_epsilon = 3.0                 # of privacy in one federation; none without differential privacy
scalars = ["notes", "supervised_tokens", "steps", "update_norm", "loss_before", "loss_after"]
approvers = ["a.lind", "r.okafor"] # names of accounts on this computer
four_eyes = true                   # two different people
worst_light = "amber"              # that the probes of what an update may reveal may find: green or amber
default = "ask"                    # where no rule holds: allow (no more than the program asks for), ask or deny
# locked = ["most_rank"]           # only for this computer's file, where no other file may then set these

[probes]                           # limits can only be lowered; see the guide, What an adapter may reveal
red_membership = 0.65
share = 0.1                        # of a round's training time, for all probes together
memory_mib = 512                   # of what they compute at once
canaries = false                   # plant invented records among the notes, to see how well they are learned

[[hours]]                          # in which anything of an update may leave
days = ["mon", "tue", "wed", "thu", "fri"]
opens = "07:00"
closes = "19:00"

[[rule]]                           # the first that holds decides
name = "too large a step"
action = "deny"
over_norm_ratio = 5.0              # of the update's norm to that of the one before

[[rule]]
name = "tests"
action = "allow"
environment = "test"
"""


def run(argv: list[str]) -> int:
    """Prints it. A file with a mistake ends the program with the sentence that a site would show."""
    parser = argparse.ArgumentParser(
        prog="fedmed-desktop --check-policy",
        description="Say what the policy of this site lets leave. This computer's file and yours hold together.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"an example:\n\n{EXAMPLE}",
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a policy as --site --policy would take it")
    files = PolicyFiles(parser.parse_args(argv).file)
    policy = files()
    check_policy(policy)
    for path in (files.system, *files.others):
        found = next((layer for layer in policy.layers if layer.path == str(path)), None)
        print(f"{path}: {f'sha256 {found.sha256}' if found else 'not there'}")
    print()
    for text in sentences(policy):
        print(text)
    return 0


def sentences(policy: InForce) -> Iterator[str]:
    """One sentence for each value that is in force here, with its file."""
    if not policy.layers:
        yield "There is no policy: what leaves is decided by the person who is asked, or by --approve-rule."
        return
    yield from (f"{text} ({path})" for layer in policy.layers for text, path in _of_file(layer, policy))
    for layer in policy.layers:
        for key in layer.ignored:
            yield f"{key} is locked by this computer's administrator: what {layer.path} says about it does not count."
    if len(policy.layers) > 1:
        yield "Where several files speak of the same thing, the strictest holds."


def _of_file(layer: Layer, policy: InForce) -> Iterator[tuple[str, str]]:
    found, strictest = layer.policy, [other.policy for other in policy.layers]
    for text, holds in _limits(found, strictest):
        yield text if holds else f"{text} A stricter file holds instead.", layer.path
    if found.hours:
        yield f"Anything of an update leaves only {_hours(found)}.", layer.path
    if found.approvers is not None:
        yield f"Only these people may approve: {', '.join(found.approvers) or 'nobody'}.", layer.path
    if found.four_eyes:
        yield "Two different people must approve.", layer.path
    if found.worst_light is not None:
        yield f"What its probes find may be {found.worst_light} at worst.", layer.path
    for name, value in found.probes.model_dump(exclude_defaults=True).items():
        holds = value == getattr(policy.probing.limits, name, getattr(policy.probing, name, None))
        text = f"Probes: {name.replace('_', ' ')} is {value}."
        yield text if holds else f"{text} A stricter one holds instead.", layer.path
    for number, rule in enumerate(found.rule, 1):
        yield f'Rule {number}, "{rule.name}": {_when(rule)}{_DOES[rule.action]}.', layer.path
    rest = "Otherwise" if found.rule else "For every update"
    yield f"{rest}: {_DOES[found.default]}.", layer.path


def _limits(found: Policy, policies: list[Policy]) -> Iterator[tuple[str, bool]]:
    """Sentences about numbers, each with whether no other file has a stricter one."""
    most = [one.most_rank for one in policies if one.most_rank is not None]
    if found.most_rank is not None:
        yield f"The rank is {found.most_rank} at most.", found.most_rank == min(most)
    most = [one.most_bytes for one in policies if one.most_bytes is not None]
    if found.most_bytes is not None:
        yield f"An update has {found.most_bytes:,} bytes at most.", found.most_bytes == min(most)
    least = [one.least_notes for one in policies if one.least_notes is not None]
    if found.least_notes is not None:
        yield f"It is trained on {found.least_notes:,} notes at least.", found.least_notes == max(least)
    allowed = [one.most_epsilon for one in policies if one.most_epsilon is not None]
    if found.most_epsilon is not None:
        text = f"It is trained with differential privacy, and epsilon {found.most_epsilon:g} is spent at most."
        yield text, found.most_epsilon == min(allowed)
    if found.scalars is not None:
        yield f"Of its report only these numbers may leave: {', '.join(found.scalars) or 'none'}.", True


def _hours(policy: Policy) -> str:
    windows = (f"{', '.join(one.days)} {one.opens:%H:%M} to {one.closes:%H:%M}" for one in policy.hours)
    return " and ".join(windows)


def _when(rule: Rule) -> str:
    """The rule's conditions, which all must hold."""
    said = rule.model_dump(exclude={"name", "action"}, exclude_defaults=True)
    words = (
        f"{key.replace('_', ' ')} {' or '.join(value) if isinstance(value, tuple) else value}"
        for key, value in said.items()
    )
    return f"if {' and '.join(words)}, " if said else ""
