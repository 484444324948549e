# SPDX-License-Identifier: Apache-2.0
"""The Approvals page, from nothing to a receipt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QCheckBox, QDialog

from fedmed_desktop import events
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.evidence import MaskedAmong
from fedmed_desktop.federation.methods import AnyMethod, FedOpal, Scaffold
from fedmed_desktop.federation.methods.method import HistogramOf
from fedmed_desktop.federation.objectives import ControlVariate, Objective, Orthogonal
from fedmed_desktop.federation.work import Entry
from tests.parts.scene import NOW, OPERATOR, REASON, REVEALING, SITE, Lakeview, connection, standing, transfer
from tests.ui.scenes import Scene
from tests.ui.scenes_of_rounds import nobody


def _after(act: Callable[[Lakeview], None], earlier: int = 2) -> Callable[[Path], Desk]:
    def make(folder: Path) -> Desk:
        site = Lakeview(folder, earlier=earlier)
        act(site)
        return site.close()

    return make


def _by(
    act: Callable[[Lakeview], None], method: AnyMethod, term: Objective, histogram: HistogramOf = "none"
) -> Callable[[Path], Desk]:
    """In a federation with this method."""

    def make(folder: Path) -> Desk:
        site = Lakeview(folder, method=method, term=term, histogram=histogram)
        act(site)
        return site.close()

    return make


def _every_number(window: Window, desk: Desk) -> QDialog | None:
    """Opened, with what is for specialists."""
    del desk
    window.approvals.view.more.click()
    window.approvals.view.specialists.click()
    return None


def _layered(window: Window, desk: Desk) -> QDialog | None:
    """Opened layer by layer, the most changed first."""
    del desk
    view = window.approvals.view
    view.layered.click()
    view.layers.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    QApplication.processEvents()
    window.approvals.ensureWidgetVisible(view.layers)
    return None


def _nothing(site: Lakeview) -> None:
    del site


def _first(site: Lakeview) -> None:
    site.trained(1)
    site.tell(standing(number=1))


def _pending(site: Lakeview) -> None:
    site.trained()


def _masked(site: Lakeview) -> None:
    words = "absorb-fabric-oblige-sunset-tiger-velvet"
    site.trained(masked=MaskedAmong(sites=("Hillcrest", "Lakeview", "Riverside"), phrase=words, clipped=0, values=9))


def _finding(site: Lakeview) -> None:
    site.trained(norm=4.1, worse=True)


def _revealing(site: Lakeview) -> None:
    site.trained(probes=REVEALING)


def _revealed(window: Window, desk: Desk) -> QDialog | None:
    """Scrolled to what it may reveal."""
    del desk
    window.approvals.ensureWidgetVisible(window.approvals.view.reveals)
    return None


def _with_numbers(window: Window, desk: Desk) -> QDialog | None:
    """The numbers behind it too."""
    window.approvals.view.reveals.more.click()
    return _revealed(window, desk)


def _queue(site: Lakeview) -> None:
    """The third adapter is on its way, slowly; the fourth waits for a decision already."""
    entry = site.trained(3)
    site.approve(entry)
    site.release(entry)
    site.trained(4)
    site.tell(standing(number=4))


def _countdown(site: Lakeview) -> None:
    site.approve(site.trained(), NOW - timedelta(seconds=3))


def _sending(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry)
    site.release(entry)
    site.tell(transfer("up", 7_340_000))


def _received(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry)
    site.release(entry)
    site.receive(entry)


def _told(site: Lakeview, entry: Entry, action: str, rule: str, **more: object) -> None:
    told = {"site": SITE, "round": entry.plan.round, "update": entry.sha256, "action": action, "rule": rule}
    site.tell(events.PolicySaid.model_validate(told | more))


def _denied(site: Lakeview) -> None:
    entry = site.trained()
    params = {"rule": "most_bytes", "most": "8,000,000", "found": f"{entry.update.size:,}"}
    _told(site, entry, "deny", "most_bytes", code="policy.bytes", params=params)


def _second(site: Lakeview) -> None:
    entry = site.trained()
    site.outbox.decide(do.Record(entry.sha256, "first_approved", OPERATOR, REASON, rule="four_eyes"), NOW)
    site.refresh()
    _told(site, entry, "ask", "four_eyes", people=2)


def _at_the_same_account(window: Window, desk: Desk) -> QDialog | None:
    window.approvals._user = OPERATOR
    window.show_desk(desk, NOW)
    return _below(window, desk)


def _hours(site: Lakeview) -> None:
    entry = site.trained()
    site.approve(entry, NOW - timedelta(seconds=30))
    _told(site, entry, "ask", "default", opens=NOW + timedelta(hours=14))


def _offline(site: Lakeview) -> None:
    site.trained(ask=False)
    site.tell(connection("lost", "link.closed", 30.0))


def _final_scores(site: Lakeview) -> None:
    site.scored()
    site.tell(standing("evaluating", number=10))


def _with_reason(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.approvals.decision.form.reason.setText(REASON)
    return None


def _without_reason(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.approvals.decision.form.send.click()
    return None


def _held(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.approvals.decision.form.hold.click()
    return None


def _below(window: Window, desk: Desk) -> QDialog | None:
    """Scrolled to the end, where a small screen has the decision."""
    del desk
    bar = window.approvals.verticalScrollBar()
    bar.setValue(bar.maximum())
    return None


def _seen(window: Window, desk: Desk) -> QDialog | None:
    """The first of the findings is ticked."""
    window.approvals.findChildren(QCheckBox)[0].click()
    return _below(window, desk)


class _AtFirst:
    """Shows the desk as it was while the update still waited, so that what became of it is on the screen."""

    def __init__(self, before: Callable[[Lakeview], None], then: Callable[[Lakeview], None]) -> None:
        self._before, self._then = before, then
        self._site: Lakeview | None = None

    def desk(self, folder: Path) -> Desk:
        self._site = Lakeview(folder)
        self._before(self._site)
        return self._site.desk

    def act(self, window: Window, desk: Desk) -> QDialog | None:
        assert self._site
        self._then(self._site)
        self._site.close()
        window.show_desk(desk, NOW)
        return None

    def scene(self, state: str) -> Scene:
        return Scene("approvals", state, self.desk, self.act, goes_on=True)


def approvals() -> list[Scene]:
    def scene(state: str, act: Callable[[Lakeview], None], earlier: int = 2) -> Scene:
        return Scene("approvals", state, _after(act, earlier))

    return [
        Scene("approvals", "not-joined", nobody),
        scene("empty", _nothing, 0),
        scene("receipts", _nothing),
        scene("first-round", _first, 0),
        scene("pending", _pending),
        Scene("approvals", "pending-below", _after(_pending), _below),
        Scene("approvals", "reason", _after(_pending), _with_reason),
        Scene("approvals", "no-reason", _after(_pending), _without_reason),
        Scene("approvals", "held", _after(_pending), _held),
        Scene("approvals", "layers", _after(_pending), _layered),
        scene("masked", _masked),
        Scene("approvals", "masked-numbers", _after(_masked), _every_number),
        scene("finding", _finding),
        Scene("approvals", "finding-seen", _after(_finding), _seen),
        Scene("approvals", "reveals", _after(_revealing), _revealed),
        Scene("approvals", "reveals-nothing", _after(_pending), _revealed),
        Scene("approvals", "reveals-numbers", _after(_revealing), _with_numbers),
        scene("queue", _queue),
        scene("countdown", _countdown),
        scene("sending", _sending),
        scene("received", _received),
        _AtFirst(_pending, _refuse).scene("refused"),
        _AtFirst(_pending, _expire).scene("expired"),
        scene("offline", _offline),
        Scene("approvals", "policy-denies", _after(_denied), _below),
        Scene("approvals", "policy-second-person", _after(_second), _at_the_same_account),
        scene("policy-hours", _hours),
        scene("final-scores", _final_scores),
        Scene("approvals", "two-parts", _by(_pending, Scaffold(), ControlVariate(form="gradient"), "specialties")),
        Scene(
            "approvals",
            "two-parts-numbers",
            _by(_pending, Scaffold(), ControlVariate(form="gradient"), "specialties"),
            _every_number,
        ),
        Scene("approvals", "personal", _by(_pending, FedOpal(), Orthogonal(weight=0.5, rank=8))),
        Scene("approvals", "personal-final", _by(_final_scores, FedOpal(), Orthogonal(weight=0.5, rank=8))),
    ]


def _refuse(site: Lakeview) -> None:
    entry = site.desk.pending
    assert entry
    site.approve(entry)
    site.release(entry)
    site.refuse(entry)


def _expire(site: Lakeview) -> None:
    entry = site.desk.pending
    assert entry
    site.expire(entry)
