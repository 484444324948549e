# SPDX-License-Identifier: Apache-2.0
"""The host's tables while the coordinator tells of something new every second: what is chosen and seen stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.hosting.sites_panel import SitesPanel
from fedmed_desktop.overview import InvitationRow
from tests.parts.scene import NOW
from tests.ui.scenes import settle
from tests.ui.scenes_of_hosting import overview, site

SITES = [f"Site {number:02d}" for number in range(50)]
INVITED = ("East", "North", "South", "West")

Told = Callable[[int, tuple[str, ...]], None]


@pytest.fixture
def panel(qtbot: QtBot) -> SitesPanel:
    panel = SitesPanel(lambda: NOW)
    qtbot.addWidget(panel)
    panel.resize(900, 700)
    panel.show()
    return panel


@pytest.fixture
def tell(panel: SitesPanel) -> Told:
    """Shows what the coordinator tells: each time with another rank of each site."""

    def show(rank: int, invited: tuple[str, ...]) -> None:
        until = NOW + timedelta(days=2)
        rows = tuple(InvitationRow(name=name, until=until, rotates=False, role="site") for name in invited)
        sites = tuple(site(name, rank=rank) for name in SITES)
        panel.show_overview(overview(sites=sites, invitations=rows), "connected")
        settle(panel)

    return show


def test_that_the_table_stays_where_it_was_scrolled_to_with_a_site_chosen_above(panel: SitesPanel, tell: Told) -> None:
    tell(8, INVITED)
    panel.choose("Site 02")
    bar = panel.table.verticalScrollBar()
    bar.setValue(bar.maximum())
    at = bar.value()
    tell(16, INVITED)
    chosen = panel.chosen()
    assert chosen is not None and chosen.name == "Site 02"
    assert bar.value() == at > 20


def test_that_an_invitation_stays_chosen_while_another_one_is_used(panel: SitesPanel, tell: Told) -> None:
    tell(8, INVITED)
    panel.invited.selectRow(2)
    tell(8, INVITED[1:])
    assert panel._invitation() == "South" and panel.take_back.isEnabled()
    tell(8, INVITED[:2])
    assert panel._invitation() is None and not panel.take_back.isEnabled()
