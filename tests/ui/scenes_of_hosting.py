# SPDX-License-Identifier: Apache-2.0
"""Hosting: the form that founds a federation, and its coordinator in every state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QDialog

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.hosting.acts import Wish, about_the_end, on_federation
from fedmed_desktop.desktop.hosting.invite_dialog import InviteDialog
from fedmed_desktop.desktop.hosting.served import State
from fedmed_desktop.desktop.hosting.sites import Connection
from fedmed_desktop.desktop.look.fields import Verdict
from fedmed_desktop.desktop.widgets.question import Question
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.hosted import Hosted
from fedmed_desktop.overview import ActName, InvitationRow, Overview, SiteResult, SiteRow
from fedmed_desktop.protocol.hosting import Invited
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.wording import moment, sentence, tr
from tests.parts.scene import NOW
from tests.ui.scenes import Scene
from tests.ui.scenes_of_other_pages import INVITED
from tests.ui.scenes_of_rounds import nobody

Act = Callable[[Window, Desk], QDialog | None]

AS_HOST = Invitation("federation.example.org:8765", "3f9a20c1e6889d4e" * 4, bytes(16), "Dr. Weber", role="host").line()

HOSTED = Hosted(
    name="Riverside federation",
    environment="test",
    folder=Path("/srv/riverside/fedmed-desktop/federations/riverside-federation"),
    port=8765,
    public="federation.example.org:8765",
    network=True,
)


def _form(*, wrong: bool = False, method: str = "", filled: bool = True) -> Act:
    """The form as it is once this computer was looked at; what is found there is invented."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        form = window.hosts.page.form
        form.drop()
        form._named(("federation.example.org", "10.0.0.12"))
        form._seen({"port": Verdict("right")})
        if filled:
            form.fields["name"].fill("Riverside federation")
            form.fields["types"].fill("drug, problem")
            form.fields["folder"].fill(str(HOSTED.folder))
            form._seen({"folder": Verdict("right", tr("It will be made."))})
        if wrong:
            form.ticks.boxes["relations"].setChecked(True)
            form.fields["types"].fill("drug, 2nd line")
            form.fields["rounds"].fill("no")
            form.fields["quorum"].fill("5")
            taken = sentence("founding.port_taken", {"port": 8765, "free": 8766})
            form._seen({"port": Verdict("wrong", taken)})
            there = {"path": str(HOSTED.folder)}
            form._seen({"folder": Verdict("wrong", sentence("founding.federation_there", there))})
        if method:
            form.rare.open()
            form.training.methods.box.choose(method)
        form.weigh()
        return None

    return act


def _advanced(window: Window, desk: Desk) -> QDialog | None:
    """All that few need, as a hospital with a certificate of its own would fill it in."""
    _form()(window, desk)
    form = window.hosts.page.form
    form.rare.open()
    form.rare_places.open()
    for name, typed in {
        "begin_with": "/srv/riverside/2025/final",
        "clients": "2",
        "epsilon": "3",
        "public_port": "443",
        "certificate": "/etc/ssl/riverside.pem",
        "key": "/etc/ssl/private/riverside.pem",
    }.items():
        form.fields[name].fill(typed)  # type: ignore[index]
    begins = tr("An adapter of rank {rank}. The first round goes on from it.").format(rank=16)
    form._seen({"begin_with": Verdict("right", begins), "key": Verdict("right")})
    form._seen({"certificate": Verdict("right", tr("Valid until {date}.").format(date=moment(NOW, "day")))})
    return None


def _served(state: State, fault: str = "", *, network: bool = True) -> Act:
    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        page = window.hosts.page
        hosted = HOSTED if network else HOSTED.model_copy(update={"public": "127.0.0.1:8765", "network": False})
        page.show_state(hosted, state, fault)
        return None

    return act


def site(name: str, **known: Any) -> SiteRow:
    """A site of the invented federation; what is not told is usual."""
    usual = {
        "name": name,
        "state": "admitted",
        "key": name.encode().hex().ljust(64, "0")[:64],
        "fingerprint": name.encode().hex().ljust(64, "1")[:64],
        "words": "amber-otter-lunar-basil-quiet-maple",
        "joined": NOW - timedelta(days=2),
        "connected": True,
        "word": "training",
        "rank": 16,
    }
    return SiteRow.model_validate(usual | known)


def result(before: float, after: float) -> SiteResult:
    return SiteResult(
        rank=16,
        notes=2_310,
        loss_before=1.42,
        loss_after=1.07,
        score_before=before,
        score_after=after,
        update_norm=1.1,
    )


SITES = (
    site("Harbour Clinic", word="sent", result=result(0.55, 0.66), result_round=3),
    site("Lakeview", word="approval", result=result(0.61, 0.74), result_round=2),
    site("Mercy General", state="waiting", word=None, rank=None, connected=True),
    site("St. Anne", word="training", quiet_since=NOW - timedelta(minutes=12), rank=8),
    site("Valley Hospital", word="offline", connected=False, last_seen=NOW - timedelta(hours=3), rank=8),
)


def overview(**known: Any) -> Overview:
    """Round 3 of 10 of the invented federation."""
    usual = {
        "phase": "open",
        "paused_by_host": False,
        "reason": "",
        "held_up": None,
        "round": 3,
        "rounds": 10,
        "attempt": 1,
        "opened": NOW - timedelta(hours=1),
        "closes": NOW + timedelta(hours=2),
        "joins_until": None,
        "deadlines": (),
        "updates": 1,
        "asked": 4,
        "quorum": 2,
        "expected": 4,
        "adapter": "3f9a" * 16,
        "adapter_round": 2,
        "sites": SITES,
        "invitations": (InvitationRow(name="Northfield", until=NOW + timedelta(days=6), rotates=False, role="site"),),
        "hosts": (),
        "refusals": {"resume": "hosting.not_paused", "close": "hosting.no_quorum"},
        "confirms": True,
        "invites": True,
        "received_bytes": 20_000_000,
        "sent_bytes": 60_000_000,
    }
    return Overview.model_validate(usual | known)


def _overseen(
    seen: Overview | None,
    connection: Connection = "connected",
    problem: str = "",
    *,
    chosen: str = "",
    then: Callable[[Window], QDialog | None] = lambda window: None,
) -> Act:
    """As it is shown to a host; nothing connects."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        page = window.hosts.page
        page.form.drop()
        page.is_elsewhere = True
        page._show()
        page.title.setText("Riverside federation")
        page.oversight.show()
        page.oversight.line.overview = seen
        page.oversight.panel.show_overview(seen, connection, problem)
        if chosen:
            page.oversight.panel.choose(chosen)
        return then(window)

    return act


def _many() -> Overview:
    long = "Universitätsklinikum der Vereinigten Krankenhäuser am See"
    named = [site(f"{long} {number}", word="sent" if number % 3 else "training") for number in range(1, 51)]
    return overview(sites=tuple(named), updates=33, asked=50, quorum=40, expected=50, invitations=())


def _asked(act: ActName) -> Callable[[Window], QDialog | None]:
    def then(window: Window) -> QDialog | None:
        oversight = window.hosts.page.oversight
        wish = Wish("revoke", site="Lakeview") if act == "revoke" else on_federation(act, oversight.line.overview)
        oversight._wished(wish)
        return oversight.dialog

    return then


def _inviting(window: Window) -> QDialog | None:
    window.hosts.page.oversight._invite("")
    return window.hosts.page.oversight.dialog


def _invited(window: Window) -> QDialog | None:
    dialog = _inviting(window)
    assert isinstance(dialog, InviteDialog)
    dialog.name.fill("Northfield")
    until = NOW + timedelta(days=7)
    dialog.show_invited(Invited(line=INVITED, file_text="# …", until=until, confirms=True), NOW)
    return dialog


def _confirming(window: Window) -> QDialog | None:
    window.hosts.page.oversight._confirm(SITES[2])
    return window.hosts.page.oversight.dialog


def _host_invited(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.show_join()
    window.join.where.give(AS_HOST)
    return None


def _closing(window: Window, desk: Desk) -> QDialog | None:
    _served("serving")(window, desk)
    dialog = Question(window, about_the_end(HOSTED))
    dialog.open()
    return dialog


def hosting() -> list[Scene]:
    gone = sentence("join.not_host", {"site": "Dr. Weber"})
    away = sentence("hosting.offline", {"address": "federation.example.org:8765"})
    paused = {"resume": "hosting.not_paused"}
    gathering = overview(phase="gathering", round=1, updates=0, asked=0, sites=(), opened=None, closes=None)
    taken = "The data folder /srv/riverside/data is used by another coordinator. Stop that one first."
    return [
        Scene("hosting", "empty", nobody, _form(filled=False)),
        Scene("hosting", "right", nobody, _form()),
        Scene("hosting", "wrong", nobody, _form(wrong=True)),
        Scene("hosting", "advanced", nobody, _advanced),
        Scene("hosting", "method", nobody, _form(method="adaptive_fedlora")),
        Scene("hosting", "method-notes", nobody, _form(method="fed_medlora_plus")),
        Scene("hosting", "starting", nobody, _served("starting")),
        Scene("hosting", "serving", nobody, _served("serving")),
        Scene("hosting", "here", nobody, _served("serving", network=False)),
        Scene("hosting", "stopped", nobody, _served("stopped")),
        Scene("hosting", "failed", nobody, _served("failed", taken)),
        Scene("hosting", "closing", nobody, _closing),
        Scene("hosting", "invited-as-host", nobody, _host_invited),
        Scene("hosting", "connecting", nobody, _overseen(None, "connecting")),
        Scene("hosting", "unconfirmed", nobody, _overseen(None, "waiting")),
        Scene("hosting", "refused", nobody, _overseen(None, "refused", gone)),
        Scene("hosting", "offline", nobody, _overseen(overview(), "lost", away)),
        Scene("hosting", "first-site", nobody, _overseen(gathering)),
        Scene("hosting", "sites", nobody, _overseen(overview(), chosen="Mercy General")),
        Scene("hosting", "site-chosen", nobody, _overseen(overview(updates=2, refusals=paused), chosen="Lakeview")),
        Scene("hosting", "paused", nobody, _overseen(overview(paused_by_host=True, refusals={"pause": "x"}))),
        Scene("hosting", "many", nobody, _overseen(_many())),
        Scene("hosting", "finished", nobody, _overseen(overview(phase="finished", adapter_round=10, closes=None))),
        Scene("hosting", "pausing", nobody, _overseen(overview(), then=_asked("pause"))),
        Scene("hosting", "closing-round", nobody, _overseen(overview(updates=2), then=_asked("close"))),
        Scene("hosting", "publishing", nobody, _overseen(overview(), then=_asked("publish"))),
        Scene("hosting", "removing", nobody, _overseen(overview(), then=_asked("revoke"))),
        Scene("hosting", "inviting", nobody, _overseen(overview(), then=_inviting)),
        Scene("hosting", "invitation", nobody, _overseen(overview(), then=_invited)),
        Scene("hosting", "confirming", nobody, _overseen(overview(), then=_confirming)),
    ]
