# SPDX-License-Identifier: Apache-2.0
"""The Rounds page in all states of the agent, and in those that look different though the state is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.widgets.folded import Folded
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import (
    AgreementAsked,
    DemoScored,
    FittingShown,
    Item,
    Problem,
    SessionEnded,
    SessionStarted,
)
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.fitted import Outcome
from fedmed_desktop.wording import sentence, tr
from tests.parts.scene import (
    ADDRESS,
    JOINED,
    MODEL,
    NOTES,
    NOW,
    PREPARED,
    SITE,
    Lakeview,
    connection,
    generating,
    identity,
    phase,
    standing,
    steps,
    transfer,
)
from tests.ui.scenes import Scene, settle

DEMO_SITES = ("Hillcrest", "Lakeview", "Riverside")


def _bare(*items: Item) -> Callable[[Path], Desk]:
    def make(folder: Path) -> Desk:
        del folder
        desk = Desk()
        desk.fold([SessionStarted("site", SITE, ADDRESS, (SITE,), NOTES, MODEL), *items])
        return desk

    return make


def _invited(*items: Item) -> Callable[[Path], Desk]:
    """A site that has just joined a coordinator elsewhere."""

    def make(folder: Path) -> Desk:
        del folder
        address, desk = "wss://federation.example.org:8765", Desk()
        line = connection("connected").model_copy(update={"address": address})
        desk.fold([SessionStarted("site", SITE, address, (SITE,), NOTES, MODEL), line, *items])
        return desk

    return make


def told(*items: Item, earlier: int = 2) -> Callable[[Path], Desk]:
    """A round that is on, and what has happened in it."""
    return lambda folder: Lakeview(folder, earlier=earlier).tell(*items).close()


def _decided(act: Callable[[Lakeview], None]) -> Callable[[Path], Desk]:
    def make(folder: Path) -> Desk:
        site = Lakeview(folder)
        act(site)
        return site.close()

    return make


def nobody(folder: Path) -> Desk:
    """Before any federation."""
    del folder
    return Desk()


def training(folder: Path) -> Desk:
    return told(phase("training"), *steps(last=812))(folder)


def _asked(site: Lakeview) -> None:
    site.trained()


def _counting(site: Lakeview) -> None:
    site.approve(site.trained())


def _sending(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry)
    site.release(entry)
    site.tell(transfer("up", 7_340_000))


def _sent(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry)
    site.release(entry)
    site.receive(entry)
    site.tell(standing(sites={"sent": 3, "training": 1, "offline": 1}))


def _combining(site: Lakeview) -> None:
    _sent(site)
    site.tell(standing("combining", sites={"sent": 5}))


def _kept(site: Lakeview) -> None:
    site.keep(site.trained())


def _missed(site: Lakeview) -> None:
    site.expire(site.trained())


def _refused(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry)
    site.release(entry)
    site.refuse(entry)


def _finished(site: Lakeview) -> None:
    entry = site.scored()
    site.approve(entry)
    site.release(entry)
    site.receive(entry)
    site.tell(standing("finished", number=10, sites={"sent": 5}))
    site.finish()
    site.tell(SessionEnded("finished"))


def _closing(folder: Path) -> Desk:
    desk = training(folder)
    desk.closing = True
    return desk


def _demo(*items: Item) -> Callable[[Path], Desk]:
    """A demonstration: the operator's site and two others on this computer."""

    def make(folder: Path) -> Desk:
        site = Lakeview(folder, earlier=0)
        record, joined = site.desk.record, JOINED.model_copy(update={"federation": "Demonstration", "sites": 3})
        record = record.__class__(
            record.spec and record.spec.model_copy(update={"name": "Demonstration", "rounds": 3}), (), (), None
        )
        started = SessionStarted("demo", SITE, ADDRESS, DEMO_SITES, NOTES, MODEL)
        site.tell(started, connection("connected"), joined, PREPARED, record, *items)
        return site.close()

    return make


def _demo_scored(folder: Path) -> Desk:
    desk = _demo(SessionEnded("finished"))(folder)
    columns, alone = (tr("All sites"), *DEMO_SITES), tr("{site} alone")
    rows = {
        tr("Before the federation"): (0.031, 0.040, 0.022, 0.030),
        alone.format(site="Hillcrest"): (0.330, 0.652, 0.201, 0.188),
        alone.format(site="Lakeview"): (0.351, 0.174, 0.527, 0.318),
        alone.format(site="Riverside"): (0.342, 0.193, 0.311, 0.509),
        tr("Federation"): (0.460, 0.417, 0.450, 0.491),
    }
    f1 = {name: dict(zip(columns, row, strict=True)) for name, row in rows.items()}
    modifiers = {name: {tr("All sites"): round(row[tr("All sites")] / 2, 3)} for name, row in f1.items()}
    for row in modifiers.values():
        row["Lakeview"] = row[tr("All sites")]
    desk.fold([DemoScored({"entities": f1, "relations": modifiers}, Path("demo-report"), 374.0)])
    return desk


def _remarked(site: Lakeview) -> None:
    """Sites without progress, and what became of the own update of the last round."""
    site.tell(phase("training"), *steps(last=812))
    told = standing(sites={"sent": 2, "training": 3})
    last = told.history[-1].model_copy(update={"findings": ("clipped",)})
    quiet = {"quiet": 2, "quiet_since": NOW - timedelta(minutes=12), "history": (*told.history[:-1], last)}
    site.tell(told.model_copy(update=quiet))


FOUND = Outcome(
    share=0.5, losses=((0.0, 1.214), (0.25, 1.131), (0.5, 1.107), (0.75, 1.142), (1.0, 1.196)), before=0.62, after=0.68,
    notes=330,
)  # fmt: skip
IN_VAIN = FOUND.model_copy(update={"share": 0.0, "losses": tuple((s, 1.0 + s) for s, _ in FOUND.losses), "after": 0.62})


def fitting(*shown: FittingShown, demo: bool = False) -> Callable[[Path], Desk]:
    """A finished federation, and a model that is fitted to the site's notes."""

    def make(folder: Path) -> Desk:
        desk = _demo_scored(folder) if demo else _decided(_finished)(folder)
        assert desk.session is not None
        desk.session = replace(desk.session, final=Path("/srv/lakeview/site/final"))
        desk.fold(shown)
        return desk

    return make


def _unfolded(window: Window, desk: Desk) -> None:
    card = window.rounds.session.fitting
    assert isinstance(card.results, Folded)
    card.results.open()
    _seen(window, desk)


def _seen(window: Window, desk: Desk) -> None:
    """Scrolls to the card."""
    window.rounds.show_desk(desk, NOW)
    settle(window)
    window.rounds.ensureWidgetVisible(window.rounds.session.fitting)


def _not_fitted(folder: Path) -> Desk:
    full = sentence("storage.disk_full", {"path": "/srv/lakeview/site/fitted"})
    return fitting(FittingShown("failed", sentence=full))(folder)


def _fittings() -> list[Scene]:
    made: dict[str, Callable[[Path], Desk]] = {
        "fit-offered": fitting(),
        "fitting": fitting(FittingShown("training", 4210, 12_400)),
        "fit-failed": _not_fitted,
        "fitted": fitting(FittingShown("done", outcome=FOUND)),
        "fitted-in-vain": fitting(FittingShown("done", outcome=IN_VAIN)),
        "demo-fit-offered": fitting(demo=True),
    }
    found = [Scene("rounds", name, desk, _seen) for name, desk in made.items()]
    return [*found, Scene("rounds", "fitted-in-detail", made["fitted"], _unfolded)]


def rounds() -> list[Scene]:
    first = standing(number=1, sites={"waiting": 2, "training": 1}, connected=3).model_copy(update={"rounds": 3})
    elsewhere = steps(1, last=412, site="Hillcrest")
    failed = events.Failed(time=NOW, site=SITE, round=3, code="training.diverged", params={"step": 12, "rate": 0.002})
    other = UserFacingError("join.other_base", found="9d4e11a07b52", expected="3f9a20c1e688")
    made: dict[str, Callable[[Path], Desk]] = {
        "not-joined": nobody,
        "connecting": _bare(connection("connecting")),
        "unconfirmed": _invited(identity(waits=True)),
        "six-words": _invited(identity(), JOINED),
        "agreement": told(AgreementAsked(True), JOINED, standing("gathering", number=1), earlier=0),
        "preparing": _bare(connection("connected"), JOINED),
        "gathering": told(standing("gathering", number=1, sites={"waiting": 3}, connected=3), earlier=0),
        "waiting": told(phase("waiting")),
        "downloading": told(phase("downloading"), transfer("down", 8_120_000)),
        "scoring-before": told(phase("scoring_before"), generating(41)),
        "training-begins": told(phase("training"), *steps(last=6)),
        "training": training,
        "scoring-after": told(phase("scoring_after"), generating(212)),
        "not-asked": told(phase("not_asked"), standing(sites={"training": 4, "not_asked": 1})),
        "measuring": told(phase("measuring")),
        "approval": _decided(_asked),
        "countdown": _decided(_counting),
        "uploading": _decided(_sending),
        "sent": _decided(_sent),
        "kept": _decided(_kept),
        "missed": _decided(_missed),
        "combining": _decided(_combining),
        "refused": _decided(_refused),
        "second-attempt": told(standing(attempt=2, sites={"training": 5}), phase("training"), *steps(last=90)),
        "remarks": _decided(_remarked),
        "paused": told(phase("training"), *steps(last=812), phase("paused")),
        "standstill": told(phase("sent"), standing("paused", sites={"sent": 2, "missing": 3})),
        "offline": told(connection("lost", "link.unreachable", 120.0)),
        "offline-trains": told(phase("training"), *steps(last=812), connection("lost", "link.closed", 5.0)),
        "failed-round": told(phase("training"), *steps(last=12), failed),
        "failed": _bare(connection("connecting"), Problem.of(other, "", fatal=True), SessionEnded("failed")),
        "stopped": told(phase("training"), SessionEnded("stopped")),
        "last-scores": told(standing("evaluating", number=10), phase("evaluating", 10), generating(120)),
        "finished": _decided(_finished),
        "closing": _closing,
        "demo-waits": _demo(first, phase("waiting", 1), phase("training", 1, "Hillcrest"), *elsewhere),
        "demo-scored": _demo_scored,
    }  # fmt: skip
    return [*(Scene("rounds", name, desk) for name, desk in made.items()), *_fittings()]
