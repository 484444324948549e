# SPDX-License-Identifier: Apache-2.0
"""What a face (desktop, command line, wording) may know of the work: events, and the read models named here."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.parts.sources import Source, modules, offenders

FACES = ("desktop", "cli", "wording")
MAY_IMPORT = {
    # Read models: what was recorded, decided and measured, as values.
    "storage.outbox": {"Decision", "Record"},
    "storage.roll": {"Member", "OpenInvitation"},
    "storage.audit_file": {"AuditFile", "Verdict", "as_csv", "as_json", "verify_audit"},
    "storage.bundle_file": {"check_place"},  # whether a carried round may be written there
    "storage.results": {"Results", "read_results"},
    "storage.secrets": {"Kept", "NOTE", "Role", "load_key", "where_kept"},  # where a secret key lies
    "storage.journal": {"MOST_STEPS", "stride_of"},  # which steps of a long round are kept
    # What a face asks of a site, and what a site asks of the person at a face.
    "site": {
        "TAKE_BACK",
        "Approver",
        "Jobs",
        "RuleApprover",
        "SiteAgent",
        "Verdict",
        "as_one",
        "operating_user",
        "with_own_b",
    },
    "site.earlier": {"Earlier", "earlier_federations", "read_measured", "read_record"},
    "site.findings": {"Finding", "Level", "Subject"},
    "site.fitted": {"FINAL", "FITTED", "OWN", "common_adapter", "keep_fitted", "kept_outcome"},
    "site.folder": {"carry_over", "has_checkpoint", "known_coordinator", "known_spec"},
    "site.hosting": {"HostAgent", "linked_host"},  # what a face asks of a coordinator for a host
    "site.invited": {"read_given"},
    "site.link": {"check_address"},
    "site.policy_file": {"PolicyFiles", "check_policy"},
    "site.preflight": {"Asked", "Gpu", "Sizes", "Takes", "computer", "findings", "with_known_sizes"},
    "site.proxy": {"SYSTEM", "check_setting", "hide_password", "with_password"},
    "site.reach": {"Target"},
    "site.reviewing": {"mark_reviewed"},
}


MODULES = [module for module in modules() if module.name.split("/")[1] in FACES]


def taken(source: Source) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a file takes from storage or site; imports inside the package are relative."""
    package = source.name.split("/")[1:-1]
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(package) + 1:
            origin = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            if origin and origin[0] in ("storage", "site"):
                yield from ((".".join(origin), alias.name) for alias in node.names)


def beyond_read_models(source: Source) -> Iterator[str]:
    for module, name in taken(source):
        if name not in MAY_IMPORT.get(module, ()):
            yield f"may not take {name} from {module}"


def test_that_faces_know_events_and_read_models_only() -> None:
    assert not (found := offenders(beyond_read_models, MODULES)), found
    assert offenders(beyond_read_models, [Source("fedmed_desktop/cli/x.py", "from ..storage import Ledger")])


def test_that_nothing_is_allowed_that_no_face_takes() -> None:
    used = {pair for module in MODULES for pair in taken(module)}
    assert used == {(module, name) for module, names in MAY_IMPORT.items() for name in names}
