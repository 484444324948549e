# SPDX-License-Identifier: Apache-2.0
"""`--coordinator`: host a federation. No Qt; torch only where it measures updates itself (`--score-with`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import UserFacingError, disk_fault, to_json
from ..wording import told
from .desktop import USER_ERROR
from .logs import add_logs, log_to_stderr, logged
from .numbers import host_and_port, positive, whole
from .parser import Parser
from .scoring import DEFAULT_NOTES, make_scorer
from .signals import bounded_end, stop_event, tell_systemd

if TYPE_CHECKING:
    from .. import events
    from ..coordinator import CoordinatorServer, Host
    from ..coordinator.certificate import ServerTls

DEFAULT_PORT = 8765
# A combination may take minutes; it is done again at the next start. systemd waits longer.
DRAIN_SECONDS = 20.0
_LAST_SECONDS = 0.5
KEEP_UPDATES = 5


def run(argv: list[str]) -> int:
    """Serves until the federation is stopped by SIGINT or SIGTERM; or prints a running one's status."""
    options = _parser().parse_args(argv)
    if options.status:
        from .status import print_status

        print_status(options.host, options.port, options.json)
        return 0
    if options.config is None or options.data_dir is None:
        _parser().error("--config and --data-dir are needed (or --status for a running coordinator)")
    with _left_in(options.error_file):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    log_to_stderr(options.log_level, options.log_file)
    # Of numpy's BLAS: on thin matrices more threads only wait for each other. It is read once numpy is needed.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with bounded_end(DRAIN_SECONDS) as ending:
        asyncio.run(_serve(options, ending))
    return 0


@contextlib.contextmanager
def _left_in(file: Path | None) -> Iterator[None]:
    """Leaves the error that the block ends with in a file, for a program that tells it in its reader's language."""
    try:
        yield
    except (UserFacingError, OSError) as error:
        _leave(error, file)
        raise


def _leave(error: UserFacingError | OSError, file: Path | None) -> None:
    fault = disk_fault(error, Path(error.filename or "")) if isinstance(error, OSError) else error
    if file is not None:
        with contextlib.suppress(OSError):  # of a full disk nothing can be left; it is printed anyway
            file.write_text(to_json(fault), "utf-8")


def last_words(faults: Sequence[BaseException], file: Path | None) -> int:
    """Says why the program ends, where it could not in order; returns its exit status, 0 where it was told to end."""
    status = 0
    for fault in faults[:1]:
        if isinstance(fault, UserFacingError | OSError):
            said, status = told(fault), USER_ERROR
            _leave(fault, file)
        else:
            said, status = repr(fault), 1
        logging.getLogger(__name__).error("%s", said)
        time.sleep(_LAST_SECONDS)  # logs are written in a thread of their own, which may be held up
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --coordinator",
        description="Host a federation: sites connect here; nothing but approved updates arrives.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="specification written by --new-federation")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="ledger and adapters; kept between starts")
    _add_listening(parser)
    parser.add_argument(
        "--confirm-sites",
        action="store_true",
        help="a site that has joined waits until you have compared six words by phone and said --confirm",
    )
    parser.add_argument(
        "--score-with",
        nargs=2,
        metavar=("MODEL", "NOTES"),
        help="measure each update on these notes (a file or a folder) with the federation's base model, for methods "
        "that weigh updates by that; loads torch",
    )
    parser.add_argument(
        "--score-notes", type=positive, default=DEFAULT_NOTES, metavar="N", help="the first N of them (default 5)"
    )
    parser.add_argument(
        "--metrics",
        type=host_and_port,
        metavar="HOST:PORT",
        help="answer /metrics there for Prometheus, such as 127.0.0.1:9464; not encrypted, numbers and codes only",
    )
    parser.add_argument(
        "--metrics-sites", action="store_true", help="with --metrics: also tell by name which sites are connected"
    )
    parser.add_argument(
        "--keep-updates",
        type=_rounds_or_all,
        default=KEEP_UPDATES,
        metavar="N",
        help="how many closed rounds keep the files of their updates, or all; what is older is deleted, but never an "
        f"adapter that came out of a round (default {KEEP_UPDATES})",
    )
    parser.add_argument(
        "--error-file",
        type=Path,
        metavar="FILE",
        help="also write the error there that ends this program, as JSON: its code and parameters",
    )
    parser.add_argument("--resume", action="store_true", help="let a paused federation ask its sites again")
    parser.add_argument("--status", action="store_true", help="say where the coordinator on --host and --port stands")
    parser.add_argument("--json", action="store_true", help="with --status: as JSON")
    add_logs(parser)
    return parser


def _add_listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: this computer only; 0.0.0.0: every network of this computer). "
        "Connections are encrypted, except on this computer's own addresses",
    )
    parser.add_argument(
        "--port",
        type=whole(0, 2**16 - 1),
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 for any free one (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--public-address",
        type=host_and_port,
        metavar="HOST:PORT",
        help="where sites find this coordinator, for invitations (default: this computer's name and the port)",
    )
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="certificate chain of a public or hospital authority (PEM); without it the coordinator makes its own",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="private key of --certificate (PEM)")
    parser.add_argument(
        "--tls", action="store_true", help="encrypt on this computer's own addresses too, as elsewhere always"
    )


def _rounds_or_all(text: str) -> int | None:
    return None if text == "all" else whole(0, 10_000)(text)


async def _serve(options: argparse.Namespace, ending: Callable[[Callable[[], int]], None]) -> None:
    from ..coordinator import CoordinatorServer, Host
    from ..coordinator.errands import Errands
    from ..coordinator.founding import adopt_initial
    from ..coordinator.measuring import check_scorer
    from ..federation import load_spec
    from ..wording.whole_sites import whole_sites
    from .console import face_for

    spec = load_spec(options.config)
    check_scorer(spec, options.score_with is not None)  # before torch is loaded for nothing
    scorer = None
    if options.score_with:
        model, notes = options.score_with
        scorer = make_scorer(spec, model, Path(notes), options.score_notes)
    adopt_initial(options.config, spec, options.data_dir)
    names = _names(options)
    tls = _tls(options, names)
    face = face_for(f"{spec.name}: coordinator on {options.host}:{options.port}")
    stopped = stop_event()
    emit = _Emit(logged(face.emit))
    rules = {"confirm_sites": options.confirm_sites, "keep_updates": options.keep_updates}
    host = Host(spec, options.data_dir, emit, scorer=scorer, **rules)
    try:
        async with contextlib.AsyncExitStack() as running:
            server = CoordinatorServer(host, options.host, options.port, emit, tls=tls, names=names)
            await running.enter_async_context(server)
            if options.metrics:
                running.enter_context(_metrics(options, host, server, emit))
            scheme = "ws" if tls is None else "wss"
            if promise := whole_sites(spec):
                face.say(promise)
            face.say(f"{spec.name}: {scheme}://{address_with(options.host, server.port)}, data in {options.data_dir}")
            if tls is not None:
                public = options.public_address or address_with(names[-1] if names else options.host, server.port)
                host.admission.announce(public, host.key.fingerprint, not tls.own, spec.name)
                face.say(f"Sites join with an invitation: fedmed-desktop --invite NAME --data-dir {options.data_dir}")
            await host.start(resume=options.resume)
            errands = Errands(host, options.data_dir, emit)
            tell_systemd("READY=1")
            with face.shown():
                work = (stopped.wait(), host.wait_for_fault(), errands.watch())
                waiting = [asyncio.create_task(one) for one in work]
                done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                tell_systemd("STOPPING=1")
                faults = [fault for task in done if (fault := task.exception()) is not None]
                ending(partial(last_words, faults, options.error_file))
                for task in pending:
                    task.cancel()
                await asyncio.wait(waiting)
                for task in done:
                    task.result()
    finally:
        await host.stop()
    face.say("Stopped. To resume, start it again with the same --data-dir.")
    face.flush()


class _Emit:
    """Tells events to the face first, and to whoever is added."""

    def __init__(self, face: Callable[[events.Event], None]) -> None:
        self.takers = [face]

    def __call__(self, event: events.Event) -> None:
        for take in self.takers:
            take(event)


@contextlib.contextmanager
def _metrics(options: argparse.Namespace, host: Host, server: CoordinatorServer, emit: _Emit) -> Iterator[None]:
    from ..coordinator.metrics import Metrics, serving

    state, connected = (lambda: host.rounds.state), (lambda: list(host.sessions))
    metrics = Metrics(options.data_dir, server.listener.gate, state, connected, sites=options.metrics_sites)
    where = urlsplit(f"//{options.metrics}")
    with serving(metrics, where.hostname or "", where.port or 0):
        emit.takers.append(metrics.take)
        yield


def address_with(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _names(options: argparse.Namespace) -> list[str]:
    """Hosts by which sites may call this coordinator; the last is the one for invitations that name no other."""
    if options.public_address:
        return [urlsplit(f"//{options.public_address}").hostname or ""]
    from ..protocol.wire import is_loopback

    anywhere = options.host in ("0.0.0.0", "::")
    return [] if is_loopback(options.host) else [socket.getfqdn() if anywhere else options.host]


def _tls(options: argparse.Namespace, names: list[str]) -> ServerTls | None:
    """Certificate and key that encrypt connections; None on a plain socket of this computer."""
    if bool(options.certificate) != bool(options.key):
        _parser().error("--certificate and --key belong together")
    if not (options.certificate or names or options.tls):
        return None
    from ..coordinator.certificate import given_certificate, own_certificate

    if options.certificate:
        return given_certificate(options.certificate, options.key, datetime.now(UTC))
    return own_certificate(options.data_dir, names, datetime.now(UTC))
