# SPDX-License-Identifier: Apache-2.0
"""Joining a federation: what is typed, whether each field is right, and the request that comes of it. No Qt. After
Electrum's wizards: everything that can be wrong is decided here, so that it is tested without a window.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from ...clinical import SiteNotes
from ...errors import UserFacingError
from ...federation.names import site_name
from ...protocol.invitation import Invitation, read_invitation
from ...site.link import check_address
from ...site.reach import Target
from ...wording import together, tr
from ...wording.remarks import unread_sentence
from ..look.fields import EMPTY, Verdict
from ..work.requests import JoinRequest
from ..work.verdicts import folder_of, judged
from .preview import NotesPreview

FieldName = Literal["invitation", "address", "name", "model", "notes", "types_map"]
Way = Literal["invited", "here"]

WHERE: Final[dict[Way, tuple[FieldName, ...]]] = {"invited": ("invitation",), "here": ("address", "name")}
NEEDED: Final[tuple[FieldName, ...]] = ("model", "notes")  # whichever the way
_SHOWN_OF_FINGERPRINT: Final = 16  # digits, as in the sentences about a wrong one


@dataclass(frozen=True)
class JoinForm:
    """The fields as typed. With an invitation, address and name are the ones in it."""

    address: str = ""
    name: str = ""
    model: str = ""
    notes: str = ""
    types_map: str = ""
    invitation: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, getattr(self, field.name).strip())

    @classmethod
    def of(cls, request: JoinRequest) -> JoinForm:
        types_map = str(request.types_map) if request.types_map else ""
        model, notes = str(request.model), str(request.notes)
        return cls(request.address, request.name, model, notes, types_map, request.invitation)

    def request(self, root: Path, before: JoinRequest | None = None) -> JoinRequest:
        """Request of a form of which every verdict is right; `root` holds a folder for each site and coordinator.

        `before`: the try that is being corrected, whose folder stays as long as address and name do.
        """
        if self.invitation:
            invited = read_invitation(self.invitation)
            address, name, line = invited.url, invited.site, invited.line()
            folder = site_folder(root, invited.fingerprint, name)  # the coordinator may move
        else:
            address, name, line = self.address, self.name, ""
            folder = site_folder(root, address, name)
        if before and (before.address, before.name) == (address, name):
            folder = before.data_dir
        return JoinRequest(
            address=address,
            name=name,
            model=folder_of(self.model),
            notes=folder_of(self.notes),
            types_map=folder_of(self.types_map) if self.types_map else None,
            data_dir=folder,
            invitation=line,
        )


@dataclass(frozen=True)
class InvitationLook:
    """A verdict on what was pasted, and the invitation in it, if there is a whole one."""

    verdict: Verdict
    invitation: Invitation | None = None


@dataclass(frozen=True)
class NotesLook:
    """Findings of a look at the notes: verdicts on both fields and, where both are right, what to show of them. `notes`
    are kept so that another types map does not mean to read them again.
    """

    folder: str
    folder_verdict: Verdict
    map_verdict: Verdict
    notes: SiteNotes | None = None
    preview: NotesPreview | None = None


def site_folder(root: Path, coordinator: str, name: str) -> Path:
    """Folder by coordinator (its fingerprint, or its address on this computer) and name: joining under the same name
    again goes on where it was left.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "site"
    own = hashlib.sha256("\n".join((coordinator, name)).encode()).hexdigest()[:12]
    return root / f"{plain}-{own}"


def way_of(request: JoinRequest) -> Way:
    """Way in which a site joined: only coordinators on this computer take sites without an invitation."""
    return "here" if request.address.startswith("ws:") else "invited"


def look_at_invitation(typed: str, before: JoinRequest | None = None) -> InvitationLook:
    """`before`: a site that used its invitation already needs none to go on."""
    if not typed.strip():
        if before is None or before.invitation or way_of(before) == "here":
            return InvitationLook(EMPTY)
        return InvitationLook(Verdict("right", tr("This site has already used it, and needs no new one.")))
    found: list[Invitation] = []

    def reading(text: str) -> str:
        found.append(read_invitation(text))
        if found[0].role == "host":
            return tr("It makes you a host of this federation. You need neither a model nor notes for that.")
        return tr("The invitation is complete. Nothing has been sent yet.")

    verdict = judged(typed, reading)
    return InvitationLook(verdict, found[0] if found else None)


def invited_to(invitation: Invitation | None, before: JoinRequest | None) -> list[tuple[str, str]]:
    """Facts that a person should know about where the site joins: names and values."""
    if invitation is None and before is None:
        return []
    address = invitation.address if invitation else urlsplit(before.address).netloc if before else ""
    name = invitation.site if invitation else before.name if before else ""
    as_host = invitation is not None and invitation.role == "host"
    facts = [
        (tr("Host", "who hosts"), address),
        (tr("Your name there") if as_host else tr("This site's name there"), name),
    ]
    if invitation:
        digits = invitation.fingerprint[:_SHOWN_OF_FINGERPRINT]
        shown = "\u00a0".join(digits[at : at + 4] for at in range(0, len(digits), 4))
        facts.append((tr("Fingerprint of its key"), shown))
    return facts


def target_of(form: JoinForm, proxy: str) -> Target:
    """The coordinator to look at before joining, of a form that says where to."""
    if not form.invitation:
        return Target(form.address, proxy=proxy)
    invited = read_invitation(form.invitation)
    return Target(invited.url, invited.fingerprint, invited.roots, proxy)


def look_at_address(typed: str) -> Verdict:
    return judged(typed, _address)


def look_at_name(typed: str) -> Verdict:
    return judged(typed, _name)


def _address(typed: str) -> str:
    check_address(typed)
    if not typed.startswith("ws:"):
        raise UserFacingError("link.no_invitation", address=typed)
    return tr("An address on this computer.")


def _name(typed: str) -> str:
    site_name(typed)
    return tr("The coordinator will know this site by this name.")


def splits_sentence(notes: SiteNotes) -> str:
    """Says how many notes a folder has, and what each part is for."""
    test = tr("{count:,} to test with") if notes.test else tr("none to test with")
    said = tr("%n note(s) to train on, {validation:,} to score rounds with, {test}.", "", len(notes.train))
    said = said.format(validation=len(notes.validation), test=test.format(count=len(notes.test or [])))
    return together(said, unread_sentence(notes.unread, notes.unread_files))


def map_sentence(found: NotesPreview, source: str) -> str:
    """Says how many marked entities count; `source` says by which map. Raises UserFacingError where none does."""
    kept, ignored = found.entities_kept, found.entities_ignored
    if not kept:
        raise UserFacingError("desktop.types_ignored", found=", ".join(row.local for row in found.types) or "none")
    said = tr("{kept:,} of {all:,} marked entities count.") if ignored else tr("All {all:,} marked entities count.")
    return together(source, said.format(kept=kept, all=kept + ignored))
