# SPDX-License-Identifier: Apache-2.0
"""`--new-federation`: write a federation's specification and first adapter. Torch looks at the model where it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..federation import FederationSpec
from ..lora.base_model import leaves_experts
from ..lora.load import load_adapter
from ..scores import TASKS
from ..wording.whole_sites import whole_sites
from .numbers import above_zero, positive, whole
from .parser import Parser
from .scoring import DEFAULT_NOTES

if TYPE_CHECKING:
    from ..coordinator.founding import Needs

# As many as a specification may hold.
MOST_SHARED = 50


def run(argv: list[str]) -> int:
    """Writes a coordinator's two files and prints the next command."""
    options = _parser().parse_args(argv)
    types = _types(options)
    from ..coordinator.first_notes import public_notes
    from ..coordinator.founding import found_federation, needs_of, write_federation
    from ..training.inside import look_inside

    needs = needs_of(options.method, types=bool(options.notes_types), shared_notes=options.shared_notes is not None)
    shared = public_notes(options.shared_notes, types, options.shared_count) if options.shared_notes else ()
    model = _model_folder(options.model)
    inside = look_inside(model, options.prompt)
    spec, adapter = found_federation(
        model,
        {"rank": options.rank, "alpha": options.alpha},
        options.seed,
        name=options.name,
        environment=options.environment,
        tasks=options.task,
        types=types,
        modifiers=_names(options.modifiers),
        prompt=inside.prompt,
        chat_template=inside.chat_template,
        modules=inside.modules,
        begin_with=load_adapter(options.begin_with) if options.begin_with else None,
        rounds=options.rounds,
        method={"name": options.method} | needs.method,
        training=_training(options),
        round=_who_takes_part(options),
        share=needs.share,
        client_privacy=_whole_sites(options),
        shared_notes=shared,
        **({"combine": options.combine} if options.combine else {}),
    )
    path = write_federation(spec, adapter, options.out)
    _print_outcome(path, spec, _remarks(needs, options), model)
    return 0


def _training(options: argparse.Namespace) -> dict[str, object]:
    """The length of a round and the learning rate's schedule; differential privacy where it is asked for."""
    from ..coordinator.founding import USUAL_TRAINING

    schedule = {"schedule": options.schedule} if options.schedule else {}
    length: dict[str, object] = {"steps": options.steps} if options.steps else {"epochs": options.epochs}
    private = {"privacy": {"epsilon": options.epsilon, "unit": options.unit}} if options.epsilon is not None else {}
    return {**USUAL_TRAINING, **schedule, **length, **private}


def _whole_sites(options: argparse.Namespace) -> dict[str, object] | None:
    """The protection of whole sites, where it is asked for."""
    if options.site_epsilon is None:
        return None
    return {"epsilon": options.site_epsilon, "accept_noise": options.accept_noise}


def _model_folder(model: Path) -> Path:
    if model.is_dir():
        return model
    from ..training.model_folder import resolve_model

    return resolve_model(str(model))


def _print_outcome(path: Path, spec: FederationSpec, remarks: Iterable[str], model: Path) -> None:
    print(f"Wrote {path} and the first adapter beside it. Look through the file: it is what all sites agree on.")
    print(f"The settings of the method {spec.method.name} are in it, under [method].")
    if spec.prompt == "chat":
        print("Prompts go through the base model's own chat template, which every site must have.")
    if leaves_experts(model):
        print("The base model is a mixture of experts: its attention is adapted, its experts stay as they are.")
    for remark in remarks:
        print(remark)
    if spec.training.privacy:
        print("Sites train with differential privacy. Look at training.batch_size (64 or more costs less) and at")
        print("training.privacy.delta (well below 1 / notes of the smallest site); the guide has a page about both.")
    if promise := whole_sites(spec):
        print(promise)
    if count := len(spec.shared_notes):
        print(f"The file holds the words of {count} shared notes, for all sites to read. None may be a patient's.")
    scoring = " --score-with MODEL NOTES" if spec.method.scored_by == "coordinator" else ""
    print(f"Next: fedmed-desktop --coordinator --config {path} --data-dir DIR{scoring}")


def _types(options: argparse.Namespace) -> tuple[str, ...]:
    options.task = options.task or ["entities"]
    marks = {"entities", "relations"} & set(options.task)
    if not marks and options.notes_types:
        _parser().error(f"--task {options.task[0]} reads no entities: leave out --notes-types")
    if marks and not options.notes_types:
        _parser().error("--notes-types is needed, such as drug,problem; without entities, --task text")
    if ("relations" in marks) != bool(options.modifiers):
        _parser().error("--task relations and --modifiers go together, such as --modifiers dosage,route")
    return _names(options.notes_types)


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(listed.replace(" ", "").split(",")) if listed else ()


def _who_takes_part(options: argparse.Namespace) -> dict[str, int]:
    """The specification's [round]."""
    from ..coordinator.founding import usual_quorum

    asked = min(options.sites, options.clients or options.sites)
    chosen = {"sites": options.sites, "quorum": options.quorum or usual_quorum(asked)}
    return chosen | ({"clients": options.clients} if options.clients else {})


def _remarks(needs: Needs, options: argparse.Namespace) -> Iterator[str]:
    """Notes for the host about what the method needs."""
    if counted := needs.share.get("histogram"):
        yield f"{options.method} needs share.histogram: {_HISTOGRAMS[counted]}."
    if needs.method.get("measured_by") == "coordinator":
        yield "Without --shared-notes the coordinator measures each update, on notes of its own."


_HISTOGRAMS = {
    "types": "each site reports how many entities of each type its training notes have",
    "specialties": "each site reports how many training notes each specialty has",
}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --new-federation",
        description="Write a federation's specification and its first adapter from a base model.",
    )
    parser.add_argument("--model", required=True, type=Path, metavar="PATH", help="base model folder")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--name", default="New federation")
    parser.add_argument(
        "--environment",
        choices=["test", "production"],
        default="test",
        help="what sites are told they take part in (default test)",
    )
    _add_tasks(parser)
    _add_rounds(parser)
    _add_training(parser)
    _add_protection(parser)
    return parser


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is learned")
    group.add_argument("--notes-types", metavar="A,B", help="entity types, such as drug,problem")
    group.add_argument(
        "--task",
        choices=TASKS,
        action="append",
        help="what the model learns, once or several times (default entities): entities; relations, their modifiers; "
        "codes, of ICD-10-CM; questions; summaries; or text alone, which needs no labels",
    )
    group.add_argument("--modifiers", metavar="A,B", help="modifiers for the task relations, such as dosage,route")
    group.add_argument(
        "--prompt",
        choices=["plain", "chat", "auto"],
        default="auto",
        help="prompts as they are, or through the base model's chat template (default auto: chat for a model that was "
        "tuned with its template)",
    )


def _add_rounds(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rounds, and how updates combine")
    group.add_argument("--rounds", type=positive, default=3)
    group.add_argument("--sites", type=positive, default=3, help="sites that are expected")
    group.add_argument(
        "--clients",
        type=positive,
        metavar="N",
        help="sites that the method draws for a round (default: all)",
    )
    group.add_argument("--quorum", type=positive, help="updates that a round needs (default: one fewer than are asked)")
    group.add_argument(
        "--method", default="fed_medlora", metavar="NAME", help="how updates are weighed and combined (see the guide)"
    )
    group.add_argument(
        "--combine",
        choices=["factors", "product", "stack"],
        help="how updates become one adapter (default: the first of these that fits the method)",
    )
    group.add_argument(
        "--shared-notes",
        type=Path,
        metavar="FILE",
        help="public notes (a file or a folder) that every site may read, for methods that weigh updates by them",
    )
    group.add_argument(
        "--shared-count",
        type=whole(1, MOST_SHARED),
        default=DEFAULT_NOTES,
        metavar="N",
        help="the first N of them (default 5)",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training at a site")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=above_zero, default=1.0, help="passes over a site's notes in a round")
    length.add_argument("--steps", type=positive, help="optimiser steps in a round")
    group.add_argument(
        "--schedule",
        choices=("federation", "round", "constant"),
        help="over what the learning rate rises and falls: all rounds together (default) or each; or it stays",
    )
    group.add_argument("--rank", type=positive, default=16)
    group.add_argument("--alpha", type=above_zero, default=64.0)
    group.add_argument("--seed", type=int, default=0)
    group.add_argument(
        "--begin-with",
        type=Path,
        metavar="PATH",
        help="an adapter of this base model to begin with, such as an earlier federation's (default: an untrained one)",
    )


def _add_protection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("differential privacy")
    group.add_argument(
        "--epsilon",
        type=above_zero,
        metavar="E",
        help="train with differential privacy: the epsilon that a site spends in all rounds together (default: "
        "without)",
    )
    group.add_argument(
        "--unit", choices=["note", "patient"], default="patient", help="what it protects (default patient)"
    )
    group.add_argument(
        "--site-epsilon",
        type=above_zero,
        metavar="E",
        help="hide whole sites: the coordinator adds noise to each round's sum, for this epsilon in all rounds "
        "together (default: no; with few sites the noise buries what is learned)",
    )
    group.add_argument(
        "--accept-noise",
        action="store_true",
        help="with --site-epsilon: found the federation even if the noise buries what is learned",
    )
