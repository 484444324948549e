# SPDX-License-Identifier: Apache-2.0
"""Looks at this computer for a federation that is founded here, and founds it. Not for the GUI thread."""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ...coordinator.auditing import decided
from ...coordinator.certificate import given_certificate, own_addresses
from ...coordinator.first_notes import public_notes
from ...coordinator.founding import found_federation, write_federation
from ...coordinator.inviting import issue, open_registry
from ...errors import UserFacingError
from ...federation.names import site_name
from ...federation.spec import SPEC_FILE, SharedNote
from ...files import make_folder, write_durably
from ...lora import load_adapter
from ...lora.base_model import linears_in_files
from ...lora.first import check_begins
from ...protocol.invitation import Invitation
from ...resources import resource
from ...site import operating_user
from ...site.hosting import linked_host
from ...wording import moment, sentence, told, tr
from ..look.fields import EMPTY, Verdict
from ..work.files import look_at_model
from ..work.hosted import LOOPBACK, Hosted, Inside
from ..work.verdicts import folder_of, judged
from .form import SHARED_NOTES, FieldName, HostForm, listed, lora, settings
from .judging import port_verdict

# Ports above a taken one that are tried, so that a free one can be named.
_TRIED: Final = 20
# Faults of the key; all others of a certificate and its key are the certificate's.
_OF_THE_KEY: Final = frozenset({"certificate.key_locked", "certificate.no_key"})


def model_of(form: HostForm) -> Path:
    return folder_of(form.model) if form.other_model else resource("demo_model")


def look(name: FieldName, form: HostForm) -> dict[FieldName, Verdict]:
    """Verdicts on what can only be judged by looking at this computer: the field, and what belongs to it."""
    match name:
        case "model":
            return {name: look_at_model(form.model)}
        case "begin_with":
            return {name: look_at_adapter(form)}
        case "notes":
            return {name: look_at_notes(form)}
        case "port":
            return {name: look_at_port(form.port)}
        case "folder":
            return {name: look_at_folder(form.folder)}
        case "certificate":
            return look_at_certificate(form)
        case _:
            raise ValueError(name)


def look_at_notes(form: HostForm) -> Verdict:
    """Reads the first public notes in the types of the form."""
    return judged(form.notes, lambda typed: tr("%n note(s) that all sites may read.", "", len(_public(typed, form))))


def look_at_adapter(form: HostForm) -> Verdict:
    """Tells whether it is an adapter of the form's model, no larger than its rank; reads it whole."""
    return judged(form.begin_with, lambda typed: _adapter(typed, form))


def _adapter(typed: str, form: HostForm) -> str:
    adapter = load_adapter(folder_of(typed))
    rank = int(form.rank) if form.rank.isdecimal() else None
    try:
        layers = linears_in_files(model_of(form))
    except UserFacingError:  # told beside the model, or known only once it is loaded
        layers = adapter.shapes
    check_begins(layers, adapter, rank)
    return tr("An adapter of rank {rank}. The first round goes on from it.").format(rank=max(adapter.ranks.values()))


def look_at_certificate(form: HostForm) -> dict[FieldName, Verdict]:
    """Verdicts on the certificate and its key, which are right together or not at all."""
    certificate, key = (folder_of(typed) if typed else None for typed in (form.certificate, form.key))
    if certificate is None:
        return {"certificate": EMPTY, "key": EMPTY}
    if key is None:
        there = Verdict("right") if certificate.is_file() else _refused("certificate.missing", certificate)
        return {"certificate": there, "key": EMPTY}
    try:
        found = given_certificate(certificate, key, datetime.now(UTC))
    except UserFacingError as error:
        is_key = error.code in _OF_THE_KEY or (key != certificate and error.params.get("path") == str(key))
        wrong = Verdict("wrong", told(error))
        return {"certificate": Verdict("right"), "key": wrong} if is_key else {"certificate": wrong, "key": EMPTY}
    until = tr("Valid until {date}.").format(date=moment(found.not_after, "day"))
    names, host = found.names, form.address.strip("[]").lower()
    is_named = not host or host in names or f"*.{host.partition('.')[2]}" in names
    other = tr("It is for {names}, not for the address above: sites will refuse it.")
    other = other.format(names=", ".join(sorted(names)[:3]) or tr("no name"))
    said = Verdict("right", until if is_named else other, warns=not is_named)
    return {"certificate": said, "key": Verdict("right")}


def _refused(code: str, path: Path) -> Verdict:
    return Verdict("wrong", told(_error(code, path)))


def look_at_folder(typed: str) -> Verdict:
    return judged(typed, _folder)


def _folder(typed: str) -> str:
    path = folder_of(typed)
    if (path / SPEC_FILE).exists():
        raise _error("founding.federation_there", path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise _error("founding.folder_taken", path)
    there = next(one for one in (path, *path.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise _error("founding.folder_closed", there)
    return "" if path.exists() else tr("It will be made.")


def _error(code: str, path: Path) -> UserFacingError:
    return UserFacingError(code, path=str(path))


def look_at_port(typed: str) -> Verdict:
    """Tells whether this computer can listen there now."""
    verdict = port_verdict(typed)
    if verdict.state != "right" or _is_free(int(typed)):
        return verdict
    free = next((port for port in range(int(typed) + 1, int(typed) + _TRIED) if _is_free(port)), None)
    taken = {"port": int(typed), "free": free or ""}
    return Verdict("wrong", sentence("founding.port_taken" if free else "founding.ports_taken", taken))


def _is_free(port: int) -> bool:
    """Asked of the loopback alone: a program that listens in the network has it there too."""
    try:
        with socket.socket() as probe:
            if os.name == "posix":  # elsewhere it would take another program's port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
    except (OSError, OverflowError):
        return False
    return True


def own_names() -> tuple[str, ...]:
    """Name and addresses of this computer by which others may find it, the likeliest first; () without a network.

    Nobody is asked: a name server may know it by another name.
    """
    known = [one for one in own_addresses() if not _is_near(one)]
    known.sort(key=lambda one: ":" in one)  # addresses of the older kind are the usual ones inside a hospital
    name = socket.gethostname()
    return (name, *known) if known and "." in name else tuple(known)


def _is_near(address: str) -> bool:
    """Tells whether an address leads no further than this computer, or one cable."""
    found = ipaddress.ip_address(address)
    return found.is_loopback or found.is_link_local


def found(form: HostForm, look_inside: Callable[[Path], Inside]) -> Hosted:
    """Writes the specification and the first adapter, as `--new-federation` does; seconds, minutes for a large model.

    `look_inside` may load torch. Raises UserFacingError, and then there is no specification.
    """
    model = model_of(form)
    inside = look_inside(model)
    spec, adapter = found_federation(
        model,
        lora(form),
        0,
        modules=inside.modules,
        prompt=inside.prompt,
        chat_template=inside.chat_template,
        begin_with=load_adapter(folder_of(form.begin_with)) if form.begin_with else None,
        shared_notes=_public(form.notes, form) if form.weighs_by_notes else (),
        **settings(form),
    )
    folder = folder_of(form.folder)
    write_federation(spec, adapter, folder)
    return Hosted(
        name=spec.name,
        environment=spec.environment,
        folder=folder,
        port=int(form.port),
        public=form.public,
        network=form.reach == "network",
        confirm=form.confirm,
        certificate=folder_of(form.certificate) if form.shows_certificate else None,
        key=folder_of(form.key) if form.shows_certificate else None,
        keep=int(form.keep) if form.keep else None,
    )


def own_invitation(hosted: Hosted) -> Invitation | None:
    """Invitation of the founder as a host, made in the coordinator's own folder; None where it has been used.

    Raises UserFacingError.
    """
    if linked_host(hosted.host_dir) is not None:
        return None
    make_folder(hosted.host_dir)
    with tempfile.TemporaryDirectory() as out:  # the file is for nobody else
        made = issue(
            hosted.data_dir,
            own_name(),
            timedelta(days=1),
            datetime.now(UTC),
            operating_user(),
            out=Path(out),
            address=hosted.public,
            role="host",
        ).invitation
    # On this computer it is called by an address that no authority's certificate is for; its own key proves it.
    return replace(made, roots=False)


def own_name() -> str:
    """Name of the founder among the hosts: of the account, as far as that is a name."""
    try:
        return site_name(f"{operating_user()} (host)")
    except UserFacingError:
        return "Host"


def admit_host(hosted: Hosted, name: str) -> None:
    """Confirms the founder, whose words need not be compared: both sides are this computer. Raises UserFacingError."""
    by = operating_user()
    with (
        closing(open_registry(hosted.data_dir)) as registry,
        decided(hosted.data_dir, registry, "confirmed", name, by),
    ):
        registry.confirm(name, datetime.now(UTC), by)


def save(path: str, data: bytes) -> None:
    """Raises UserFacingError (disk full, no right to write)."""
    write_durably(Path(path), data)


def qr_png(line: str, square: int) -> bytes:
    """The QR code of an invitation as a PNG, as `--invite` draws it; `square` in pixels.

    In capitals, which mean the same in an invitation, it takes fewer squares.
    """
    import segno

    drawn = io.BytesIO()
    segno.make_qr(line.upper(), error="l").save(drawn, kind="png", scale=square)
    return drawn.getvalue()


def _public(typed: str, form: HostForm) -> tuple[SharedNote, ...]:
    return public_notes(folder_of(typed), listed(form.types) if form.marks else (), SHARED_NOTES)
