# SPDX-License-Identifier: Apache-2.0
"""The common model is fitted to this site's notes: where that is offered, by a real model, shown, kept, and tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.frame.questions import about_closing
from fedmed_desktop.desktop.join.form import JoinForm
from fedmed_desktop.desktop.rounds.fitting import fitting_for, fitting_view
from fedmed_desktop.desktop.rounds.page import RoundsPage
from fedmed_desktop.desktop.trial.choices import choices
from fedmed_desktop.desktop.widgets import PrimaryButton
from fedmed_desktop.desktop.widgets.folded import Folded
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.engine import Engine
from fedmed_desktop.desktop.work.news import FittingShown, Item
from fedmed_desktop.desktop.work.requests import FittingWanted
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, Stopped
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears, fingerprint
from fedmed_desktop.lora.load import load_adapter
from fedmed_desktop.site.fitted import kept_outcome
from tests.parts.approval import NOW
from tests.parts.desks import MAKERS, decided, finished_demo
from tests.parts.federation import small_spec
from tests.parts.training import SETTINGS
from tests.parts.ui import Desktop, words
from tests.ui.hosting import Coordinator, write_notes
from tests.ui.scenes_of_rounds import FOUND, IN_VAIN, fitting

LEFT = Qt.MouseButton.LeftButton


# -- where it is offered ---------------------------------------------------------------------------------------------


def with_final(desk: Desk) -> Desk:
    assert desk.session is not None
    desk.session = replace(desk.session, final=Path("/site/final"))
    return desk


def test_that_it_is_offered_once_there_is_a_final_adapter(tmp_path: Path) -> None:
    assert fitting_for(Desk()) is None
    assert fitting_for(with_final(decided("ask")(tmp_path / "before"))) is None
    wanted = fitting_for(with_final(MAKERS["finished"](tmp_path / "after")))
    assert wanted is not None and (wanted.common, wanted.folder) == (Path("/site/final"), Path("/site/fitted"))


def test_that_a_demonstration_offers_it_when_its_adapter_is_written(tmp_path: Path) -> None:
    desk = with_final(finished_demo(tmp_path))
    assert desk.session is not None
    desk.session = replace(desk.session, kind="demo")
    assert fitting_for(desk) is not None
    desk.scored = None
    assert fitting_for(desk) is None


def test_that_a_site_with_a_part_of_its_own_has_its_model_already(tmp_path: Path) -> None:
    desk = with_final(MAKERS["finished"](tmp_path))
    first, *others = desk.record.entries
    first = replace(first, plan=first.plan.model_copy(update={"own": ("B",)}))
    desk.record = replace(desk.record, entries=(first, *others))
    assert fitting_for(desk) is None


# -- how it is shown -------------------------------------------------------------------------------------------------


def test_that_a_small_gain_is_not_called_more_than_it_is(tmp_path: Path) -> None:
    view = fitting_view(fitting(FittingShown("done", outcome=FOUND))(tmp_path))
    assert view is not None and view.verdict.startswith("Fitted: 68 of 100 found correctly") and view.tone == "dim"
    assert "Measured on 330 validation notes: so small a difference may be chance." in view.sentence
    assert [row[0] for row in view.rows] == ["0% · the common model", "25%", "50% · taken", "75%", "100%"]
    sure = FOUND.model_copy(update={"before": 0.3})
    view = fitting_view(fitting(FittingShown("done", outcome=sure))(tmp_path))
    assert view is not None and "chance" not in view.sentence and "keep it at your site" in view.sentence
    assert view.tone == "ok"
    less = FOUND.model_copy(update={"after": 0.58})
    view = fitting_view(fitting(FittingShown("done", outcome=less))(tmp_path))
    assert view is not None and "but finds less: 58 of 100" in view.verdict and view.tone == "warn"
    view = fitting_view(fitting(FittingShown("done", outcome=IN_VAIN))(tmp_path))
    assert view is not None and view.verdict.startswith("Nothing was gained") and "Try it" not in view.sentence


def test_that_an_earlier_model_outlasts_a_fitting_that_is_stopped_or_fails(tmp_path: Path) -> None:
    desk = fitting(FittingShown("done", outcome=FOUND), FittingShown("stopped"))(tmp_path)
    view = fitting_view(desk)
    assert view is not None and view.verdict.startswith("Fitted")
    desk.fold([FittingShown("failed", sentence="The disk is full.")])
    view = fitting_view(desk)
    assert view is not None and view.sentence == "The disk is full. The model that was fitted before is still here."
    desk.fold([FittingShown("waiting")])
    assert desk.fits and (words := about_closing(desk, NOW)) and words.title == "Close while a model is being fitted?"


@pytest.fixture
def page(qtbot: QtBot) -> RoundsPage:
    page = RoundsPage()
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show()
    return page


def test_that_the_card_asks_shows_how_far_it_is_and_puts_the_verdict_first(
    qtbot: QtBot, page: RoundsPage, tmp_path: Path
) -> None:
    desk, card = fitting()(tmp_path), page.session.fitting
    page.show_desk(desk, NOW)
    assert "Nothing is sent." in card.hint.text() and not card.stop.isVisible()
    assert len([one for one in page.findChildren(PrimaryButton) if one.isVisible()]) == 1
    with qtbot.waitSignal(card.wanted):
        qtbot.mouseClick(card.run, LEFT)
    desk.fold([FittingShown("training", 30, 120)])
    page.show_desk(desk, NOW)
    assert card.progress.value() == 250 and card.sentence.text() == "Step 30 of 120" and not card.run.isVisible()
    with qtbot.waitSignal(card.stop_wanted):
        qtbot.mouseClick(card.stop, LEFT)
    desk.fold([FittingShown("done", outcome=FOUND)])
    page.show_desk(desk, NOW)
    assert card.verdict.text().startswith("Fitted: 68 of 100") and card.run.text() == "Fit again"
    assert isinstance(card.results, Folded) and not card.table.isVisible()
    card.results.link.click()
    assert card.table.isVisible() and card.model.rowCount() == 5
    page.show_desk(MAKERS["training"](tmp_path / "other"), NOW)
    assert not card.isVisible()


def test_that_try_it_offers_what_was_fitted_unless_nothing_was_gained(tmp_path: Path) -> None:
    offered = choices(fitting(FittingShown("done", outcome=FOUND))(tmp_path))
    assert ("folder:/srv/lakeview/site/fitted", "Fitted to our notes") in [(one.key, one.label) for one in offered]
    offered = choices(fitting(FittingShown("done", outcome=IN_VAIN))(tmp_path))
    assert "Fitted to our notes" not in [one.label for one in offered]


# -- by a real model -------------------------------------------------------------------------------------------------


@pytest.fixture
def wanted(tiny_model: Path, tmp_path: Path) -> FittingWanted:
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    spec = small_spec(training=SETTINGS.model_copy(update={"steps": 2}), types=("drug",), shared_notes=())
    spec = spec.model_copy(update={"base": spec.base.model_copy(update={"fingerprint": fingerprint(tiny_model)})})
    start.save_peft(tmp_path / "final", str(tiny_model))
    notes = write_notes(tmp_path / "notes")
    return FittingWanted(spec, "North", notes, None, tiny_model, tmp_path / "final", tmp_path / "fitted")


def test_that_a_real_model_is_fitted_and_kept_with_its_card(wanted: FittingWanted) -> None:
    told: list[Item] = []
    Workshop().fit(wanted, told.append, Control())
    shown = [item for item in told if isinstance(item, FittingShown)]
    assert [item.state for item in shown[:2]] == ["loading", "training"] and shown[-1].state == "done"
    assert {item.total for item in shown if item.state == "training"} == {2 * wanted.spec.rounds}
    assert kept_outcome(wanted.folder) == shown[-1].outcome and load_adapter(wanted.folder)
    assert "Keep it at this site" in (wanted.folder / "README.md").read_text("utf-8")


def test_that_it_stops_between_two_steps_and_leaves_nothing(wanted: FittingWanted) -> None:
    control = Control()

    def put(item: Item) -> None:
        if isinstance(item, FittingShown) and item.state == "training":
            control.stop()

    with pytest.raises(Stopped):
        Workshop().fit(wanted, put, control)
    assert not wanted.folder.exists()


def test_that_the_engine_tells_the_end_of_it(qtbot: QtBot, wanted: FittingWanted) -> None:
    """Once stopped before it began, once because there is no adapter, once to its end."""
    desk = Desk()
    engine = Engine(Workshop(), desk.fold)
    engine.start()

    def ends(state: str) -> None:
        qtbot.waitUntil(lambda: desk.fitting is not None and desk.fitting.state == state, timeout=30_000)

    engine.fit(wanted)
    engine.stop_fitting()
    ends("stopped")
    engine.fit(replace(wanted, common=wanted.common.with_name("nowhere")))
    ends("failed")
    assert desk.fitting is not None and "once its federation has finished" in desk.fitting.sentence
    engine.fit(wanted)
    ends("done")
    with qtbot.waitSignal(engine.closed):
        engine.close()


class Refusing(Workshop):
    """Begins no demonstration."""

    def prepare_demo(self) -> None:
        raise UserFacingError("demo.no_notes", path="nowhere")


def test_that_a_new_session_ends_a_fitting_and_hears_no_more_of_it(qtbot: QtBot, wanted: FittingWanted) -> None:
    desk = Desk()
    engine = Engine(Refusing(), desk.fold)
    engine.start()
    engine.fit(wanted)
    qtbot.waitUntil(lambda: desk.fitting is not None and desk.fitting.state in ("loading", "training"))
    engine.start_demo(DemoOptions())
    qtbot.waitUntil(lambda: desk.ended is not None)
    assert desk.fitting is None and not wanted.folder.exists()
    with qtbot.waitSignal(engine.closed):
        engine.close()


def test_that_a_session_which_would_end_a_fitting_begins_once_the_person_agrees(
    desktop: Callable[..., Desktop], tmp_path: Path
) -> None:
    one = desktop(Refusing()).begin()
    begun: list[str] = []
    one.program.leaving.ask_begin(lambda: begun.append("no fitting"))
    assert begun == ["no fitting"] and one.program.question is None
    one.desk.fold([FittingShown("training", 30, 120)])
    request = JoinForm("ws://127.0.0.1:1", "North", "/model", "/notes").request(tmp_path / "sites")
    one.window.join.join_requested.emit(request)
    assert one.program.settings.values.joined is None, "nothing is remembered before the answer"
    question = one.program.question
    assert question is not None and "so far is not kept" in words(question)
    one.click(question.no)
    one.program.ask_demo()
    assert one.program.demonstration is not None
    one.program.demonstration.started.emit("fedavg", False, False)
    assert one.desk.session is None and one.desk.fits
    question = one.program.question
    assert question is not None
    one.click(question.yes)
    one.until(lambda: one.desk.ended is not None)
    assert one.desk.is_demo and not one.desk.fits


@pytest.mark.integration
def test_that_a_site_fits_its_model_and_finds_it_again_at_the_next_start(
    desktop: Callable[..., Desktop], hosted: Callable[..., Coordinator], tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.program.engine.take_back_time = timedelta(0)
    one.join(host.address, tiny_model, notes)
    one.send_all()
    one.until(lambda: one.desk.ended is not None)
    one.window.go("rounds")
    one.window.show_now()
    one.click(one.window.rounds.session.fitting.run)
    one.until(lambda: one.desk.fitted is not None)
    one.window.show_now()
    said = one.window.rounds.session.fitting.verdict.text()
    assert said.startswith(("Fitted", "Nothing was gained"))
    one.close()
    host.kill()
    again = desktop().begin()
    again.until(lambda: again.desk.fitted is not None)
    again.window.go("rounds")
    again.window.show_now()
    card = again.window.rounds.session.fitting
    assert card.isVisible() and card.verdict.text() == said, "also where nobody answers any more"
