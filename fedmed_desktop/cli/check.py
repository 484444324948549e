# SPDX-License-Identifier: Apache-2.0
"""`--check`: checks before joining whether this computer can take part; each finding is a sentence."""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

from ..site.findings import Finding, Level
from ..site.invited import read_given
from ..site.preflight import Asked, Gpu, Sizes, Takes, findings, with_known_sizes
from ..site.proxy import check_setting
from ..site.reach import Target
from ..wording.findings import finding_line, subject
from .numbers import positive
from .parser import Parser
from .proxy import add_proxy

_MARKS: dict[Level, str] = {"ok": "ok", "warning": "look", "wrong": "WRONG"}


def run(argv: list[str]) -> int:
    """Prints what was found; 1 where something is wrong."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not any((options.invitation, options.join, options.model, options.data_dir)):
        parser.error("say what to look at: --invitation or --join, --model, --data-dir")
    asked = _with_sizes(Asked(_target(options), options.model, options.data_dir), options)
    if options.model and importlib.util.find_spec("torch") is not None:
        asked = _with_torch(asked, options)
    found = findings(asked)
    if options.json:
        print(json.dumps([_plain(finding) for finding in found], indent=2, ensure_ascii=False))
    else:
        for finding in found:
            print(f"{_MARKS[finding.level]:5}  {subject(finding)}: {finding_line(finding)}")
    return 1 if any(finding.level == "wrong" for finding in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --check",
        description="Check whether this computer can take part. Nothing is joined, and the invitation stays unused.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--invitation", metavar="LINE_OR_FILE", help="the invitation, or the file that it is in")
    where.add_argument("--join", metavar="URL", help="the coordinator's address, such as ws://127.0.0.1:8765")
    parser.add_argument("--model", type=Path, metavar="PATH", help="the federation's base model")
    parser.add_argument("--nf4", action="store_true", help="with the model loaded in 4 bits")
    usual = Sizes()
    for option, size, words in (
        ("--batch-size", usual.batch, "of the federation"),
        ("--max-tokens", usual.tokens, "of an example"),
        ("--rank", usual.rank, "of the adapters"),
    ):
        words += f" (that of the federation that the site in --data-dir has joined; else {size})"
        parser.add_argument(option, type=positive, metavar="N", help=words)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where this site will keep its state")
    add_proxy(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _target(options: argparse.Namespace) -> Target | None:
    proxy = check_setting(options.proxy)
    if options.invitation:
        invitation = read_given(options.invitation)
        return Target(invitation.url, invitation.fingerprint, invitation.roots, proxy)
    return Target(options.join, proxy=proxy) if options.join else None


def _with_sizes(asked: Asked, options: argparse.Namespace) -> Asked:
    """The federation's sizes: as the site in its folder knows them, or as somebody gives all or some of them."""
    asked = with_known_sizes(asked)
    options_of = {"batch": options.batch_size, "tokens": options.max_tokens, "rank": options.rank}
    given = {name: size for name, size in options_of.items() if size is not None}
    is_guess = asked.sizes.is_guess and len(given) < 3
    return replace(asked, sizes=replace(asked.sizes, **given, is_guess=is_guess))


def _with_torch(asked: Asked, options: argparse.Namespace) -> Asked:
    """Adds what only torch can tell; loading it takes seconds."""
    from ..training.device import gpu_memory
    from ..training.needs import counted
    from ..training.outline import refusal

    gpu = gpu_memory()
    sizes = asked.sizes
    found = counted(options.model, sizes.batch, sizes.tokens, sizes.rank, "nf4" if options.nf4 else "none")
    takes = Takes(*found) if found else None
    return replace(
        asked, gpu=Gpu(*gpu) if gpu else None, takes=takes, refused=None if takes else refusal(options.model)
    )


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "subject": finding.subject,
        "level": finding.level,
        "code": finding.code,
        "params": dict(finding.params),
        "sentence": finding_line(finding),
    }
