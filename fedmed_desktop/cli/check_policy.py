# SPDX-License-Identifier: Apache-2.0
"""`--check-policy`: prints the policy in force at this site in plain sentences, each with the file it comes from."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..site.policy_file import PolicyFiles, check_policy
from ..wording.policy_in_force import in_force
from .parser import Parser

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

[[deputy]]                         # approves in place of one of the approvers, on these days
name = "j.berg"
instead_of = "r.okafor"
first = 2026-07-01
last = 2026-07-14

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
    parser = Parser(
        prog="fedmed-desktop --check-policy",
        description="Print what this site's policy lets leave. This computer's file and yours both apply.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"an example:\n\n{EXAMPLE}",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a policy as --site --policy would take it")
    files = PolicyFiles(parser.parse_args(argv).file)
    policy = files()
    check_policy(policy)
    for path in (files.system, *files.others):
        found = next((layer for layer in policy.layers if layer.path == str(path)), None)
        print(f"{path}: {f'sha256 {found.sha256}' if found else 'not there'}")
    print()
    for said in in_force(policy):
        print(f"{said.text} ({said.path})" if said.path else said.text)
    return 0
