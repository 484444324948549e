# SPDX-License-Identifier: Apache-2.0
"""`--site`: the headless site agent. Approvals are asked for on the terminal, or follow a recorded rule."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UserFacingError
from ..training.place import place_of
from .joining import Destination, add_destination, destination
from .logs import add_logs, log_to_stderr, logged
from .numbers import positive
from .parser import Parser
from .processes import follow, others
from .proxy import add_proxy
from .signals import ignore_termination, stop_event, tell_systemd

if TYPE_CHECKING:
    from ..clinical import SiteNotes
    from ..site import SiteAgent
    from ..site.policy_file import PolicyFiles
    from ..training.processes import Processes


def run(argv: list[str]) -> int:
    """Takes part until the federation has finished or a signal stops the program."""
    options = _parser().parse_args(argv)
    if (place := place_of()) and not place.leads:
        return follow(options.model, options.nf4, place)
    log_to_stderr(options.log_level, options.log_file)
    given = _checked(options)
    # Loads torch, for seconds. Inside asyncio.run, Ctrl-C would only count once something awaits.
    from ..training import base, preparation  # noqa: F401

    with others(place) as processes:
        return asyncio.run(_take_part(options, given, processes))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --site",
        description="Take part in a federation without a screen. Nothing leaves before it is approved.",
        epilog="On several GPUs of one machine: torchrun --nproc-per-node N -m fedmed_desktop --site ...",
    )
    add_destination(parser)
    parser.add_argument("--model", required=True, metavar="PATH_OR_ID", help="the federation's base model")
    parser.add_argument(
        "--notes",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="train, validation and, if there, test, each a file or folder of any format that is read (train.jsonl, "
        "train.csv, train/ of BRAT), and types.toml",
    )
    parser.add_argument(
        "--types-map",
        type=Path,
        metavar="FILE",
        help="what this site's types are called in the federation (default: types.toml in the notes folder)",
    )
    parser.add_argument("--data-dir", required=True, type=Path, metavar="DIR", help="state; kept between starts")
    parser.add_argument(
        "--approve-rule",
        metavar="REASON",
        help="approve every update by rule, recorded with this reason, instead of asking",
    )
    parser.add_argument(
        "--rank-cap",
        type=positive,
        metavar="N",
        help="the largest rank that this site's hardware can train (default: any)",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="a policy of this site's own beside this computer's and yours; the strictest applies (see --check-policy)",
    )
    add_proxy(parser)
    _add_bundles(parser)
    _add_loading(parser)
    add_logs(parser)
    return parser


def _add_bundles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle-in",
        type=Path,
        metavar="FILE",
        help="without a connection: what the host wrote for this site with --export-round",
    )
    parser.add_argument("--bundle-out", type=Path, metavar="FILE", help="the file to carry back to the host")


def _add_loading(parser: argparse.ArgumentParser) -> None:
    """Adds options on how the base model is loaded and computed with."""
    parser.add_argument("--nf4", action="store_true", help="load the base model in 4 bits (bitsandbytes)")
    parser.add_argument(
        "--float32",
        action="store_true",
        help="compute in float32 on a processor that would use bfloat16 for a large base model",
    )
    parser.add_argument(
        "--shard-base",
        action="store_true",
        help="under torchrun: split the base model over the GPUs, as is done anyway where one of them cannot hold it",
    )


class _Given(NamedTuple):
    """Options that were looked at, and the notes that they name."""

    where: Destination
    proxy: str
    policy: PolicyFiles
    model: Path
    notes: SiteNotes


def _checked(options: argparse.Namespace) -> _Given:
    """Raises UserFacingError for whatever can be wrong before torch is loaded and somebody is asked."""
    from ..clinical import read_notes_folder, read_types_map
    from ..protocol.bundle import MAX_HEAD_BYTES
    from ..site.policy_file import PolicyFiles, check_policy
    from ..site.proxy import check_setting
    from ..storage.bundle_file import check_place
    from ..training.model_folder import resolve_model

    files = [os.path.realpath(path) for path in (options.bundle_in, options.bundle_out) if path]
    if len(set(files)) == 1:
        raise UserFacingError("bundle.both")
    if files:
        check_place(options.bundle_out, MAX_HEAD_BYTES)
    if options.shard_base and place_of() is None:
        raise UserFacingError("training.shard_alone")
    where = destination(options)
    if options.approve_rule is not None and not options.approve_rule.strip():
        raise UserFacingError("site.rule_reason")
    proxy = check_setting(options.proxy)
    policy = PolicyFiles(options.policy)
    check_policy(policy())
    model = resolve_model(options.model)
    notes = read_notes_folder(options.notes)
    if options.types_map is not None:
        read_types_map(options.types_map)
    return _Given(where, proxy, policy, model, notes)


async def _take_part(options: argparse.Namespace, given: _Given, processes: Processes | None) -> int:
    from ..lora.base_model import fingerprint
    from ..site import Jobs, RuleApprover, SiteAgent
    from ..training.preparation import LoadedBase, trainer_factory
    from .ask import TerminalApprover
    from .console import face_for

    where, proxy, policy, model, notes = given
    bundles = (options.bundle_in, options.bundle_out) if options.bundle_in else None
    face = face_for(f"{where.name}: joins {where.address}")
    emit = logged(face.emit)
    jobs = Jobs()
    threads = processes.threads if processes else None
    how = {"shard": True if options.shard_base else None, "float32": options.float32}
    base = LoadedBase(model, "nf4" if options.nf4 else None, threads, processes=processes, **how)
    stopped = stop_event()
    try:
        agent = SiteAgent(
            name=where.name,
            address=where.address,
            invitation=where.invitation,
            data_dir=options.data_dir,
            base_fingerprint=fingerprint(model),
            make_trainer=trainer_factory(
                base,
                where.name,
                notes,
                options.notes,
                emit,
                types_file=options.types_map,
                probing=lambda: policy().probing,
            ),
            approver=RuleApprover(options.approve_rule)
            if options.approve_rule
            else TerminalApprover(face, where.address, policy),
            jobs=jobs,
            emit=emit,
            rank_cap=options.rank_cap,
            policy=policy,
            proxy=proxy,
            bundles=bundles,
        )
        tell_systemd("READY=1")
        with face.shown():
            final = await _unless_stopped(agent, stopped)
            if final is None:
                face.say("Stopped. To resume, start it again with the same --data-dir.")
                return 0
    finally:
        jobs.close()
        if processes is not None and processes.lost:
            ignore_termination()  # torchrun is about to send it, and what happened is not said yet
    if final:
        _save_final(agent, options)
    else:
        print(f"{options.bundle_out} is for the host, who takes it with --import-update.", flush=True)
    return 0


async def _unless_stopped(agent: SiteAgent, stopped: asyncio.Event) -> str | None:
    """Result of the agent, once it has one; None where a signal ended it first."""
    work = asyncio.create_task(agent.run())
    stop = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        tell_systemd("STOPPING=1")
        return work.result() if work.done() else None
    finally:  # also where Ctrl-C is no signal and cancels: its training would be waited for to its end
        stop.cancel()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _save_final(agent: SiteAgent, options: argparse.Namespace) -> None:
    """Writes the federation's adapter in PEFT format with its model card, and says where."""
    from ..site.fitted import FINAL, OWN
    from ..wording.model_card import write_model_card

    record = agent.record()
    written = agent.holdings.save_final(record, options.data_dir, str(options.model))
    for folder in written.values():
        write_model_card(folder, record, str(options.model))
    print(f"The federation has finished. Its adapter is in {written[FINAL]} (PEFT format).", flush=True)
    if own := written.get(OWN):
        print(f"With this site's own part, which never left it: {own}.", flush=True)
