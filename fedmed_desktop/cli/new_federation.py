# SPDX-License-Identifier: Apache-2.0
"""`--new-federation`: write a federation's specification and first adapter. No torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .scoring import DEFAULT_NOTES, typed

# As many as a specification may hold.
MOST_SHARED = 50


def run(argv: list[str]) -> int:
    """Writes the two files that a coordinator needs, and says what to do with them."""
    options = _parser().parse_args(argv)
    from ..coordinator.founding import found_federation, write_federation

    model = options.model
    if not model.is_dir():
        from ..training.base import resolve_model

        model = resolve_model(str(options.model))
    types = tuple(options.notes_types.replace(" ", "").split(","))
    shared = _shared_notes(options.shared_notes, types, options.shared_count) if options.shared_notes else ()
    spec, adapter = found_federation(
        model,
        {"rank": options.rank, "alpha": options.alpha},
        options.seed,
        name=options.name,
        environment=options.environment,
        types=types,
        rounds=options.rounds,
        method={"name": options.method},
        training={"steps": options.steps} if options.steps else {"epochs": options.epochs},
        round={"sites": options.sites, "quorum": options.quorum or max(1, options.sites - 1)},
        shared_notes=shared,
    )
    path = write_federation(spec, adapter, options.out)
    print(f"Wrote {path} and the first adapter beside it. Look through the file: it is what all sites agree on.")
    if shared:
        print(
            f"The file holds the words of {len(shared)} shared notes, for all sites to read. None may be a patient's."
        )
    print(f"Next: fedmed-desktop --coordinator --config {path} --data-dir DIR")
    return 0


def _shared_notes(path: Path, types: tuple[str, ...], most: int) -> tuple[dict[str, Any], ...]:
    """The first notes of a file as the specification holds them, in the federation's types."""
    return tuple(
        {
            "text": note.text,
            "entities": tuple({"start": one.start, "end": one.end, "type": one.type} for one in note.entities),
        }
        for note in typed(path, types, most)[0]
    )


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST_SHARED:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_SHARED}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedmed-desktop --new-federation",
        description="Write a federation's specification and its first adapter from a base model.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", required=True, type=Path, metavar="PATH", help="base model folder")
    parser.add_argument("--notes-types", required=True, metavar="A,B", help="entity types, such as drug,problem")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--name", default="New federation")
    parser.add_argument(
        "--environment",
        choices=["test", "production"],
        default="test",
        help="what sites are told they take part in (default test)",
    )
    parser.add_argument("--method", default="fed_medlora")
    parser.add_argument(
        "--shared-notes",
        type=Path,
        metavar="FILE",
        help="public notes (.jsonl, .jsonl.gz) that every site may read, for methods that weigh updates by them",
    )
    parser.add_argument(
        "--shared-count", type=_count, default=DEFAULT_NOTES, metavar="N", help="the first N of them (default 5)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sites", type=int, default=3, help="sites that are expected")
    parser.add_argument("--quorum", type=int, help="updates that a round needs (default: one fewer than sites)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, default=1.0, help="passes over a site's notes in a round")
    length.add_argument("--steps", type=int, help="optimiser steps in a round")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=64.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser
