# SPDX-License-Identifier: Apache-2.0
"""Try it: a note read with an adapter and, on request, with the base model beside it, on this computer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QWidget

from ...errors import UserFacingError
from ...wording import told
from ..look.entities import colors, count_types
from ..look.fields import Choice
from ..widgets import Banner, PageBase, Row
from ..widgets.entity_legend import EntityLegend
from ..widgets.layout import WIDE_SHARE
from ..work.desk import Desk, utc_now
from ..work.news import Side
from ..work.tasks import Task, run_task
from .answers import answer_view
from .asked_note import Asking, about
from .blind import BlindPanel
from .choices import BASE, FOLDER, TrialWish, choices, task_choices
from .files import note_of_file
from .head import TrialHead, shortcuts
from .model_panel import ModelCard
from .note_panel import NoteCard
from .reading_state import SIDES, Run, no_adapter, shown, waits_for
from .results import Results, results
from .side_panel import SideCard
from .tab_order import set_tab_order
from .unmatched import lacked


class TrialPage(PageBase):
    """`read_requested(TrialWish)` and `stop_requested` are what the person wants; what comes of it is in the desk."""

    read_requested = Signal(object)
    stop_requested = Signal()

    def __init__(self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None) -> None:
        super().__init__(parent, WIDE_SHARE)
        self._clock, self._desk = clock, Desk()
        self._run: Run | None = None
        self._asking = Asking("", ())
        self._seen: object = None
        self._picked, self._wanted = False, ""
        self._task: Task | None = None
        self.head, self.note, self.model = TrialHead(), NoteCard(), ModelCard()
        self.head.file_chosen.connect(self.open_file)
        self.head.example_chosen.connect(self.note.set_text)
        self.head.read.clicked.connect(self._read_or_stop)
        self.note.changed.connect(self._note_changed)
        self.note.unfolded.connect(self._show_model)
        self.note.file_dropped.connect(self.open_file)
        self.model.changed.connect(self._model_changed)
        self.model.adapter_chosen.connect(self._adapter_chosen)
        self.model.told.connect(self._show_offer)
        self.waits, self.legend = Banner(), EntityLegend()
        self.sides: dict[Side, SideCard] = {
            "left": SideCard(self.tr("Left side"), self.tr("What this model finds is shown here.")),
            "right": SideCard(self.tr("Right side"), self.tr("What this adapter finds is shown here.")),
        }
        self.sides["left"].chosen.connect(self._chosen)
        self.sides["right"].chosen.connect(self._chosen_right)
        self.sides["right"].choose.clicked.connect(self.model.ask_adapter)
        self.beside = QCheckBox(self.tr("Read it with the base model as well, to compare"))
        self.beside.toggled.connect(self._besides)
        self.blind = BlindPanel(self.sides)
        self.blind.revealed.connect(self._chosen)
        for side in self.sides.values():
            self.legend.hidden_changed.connect(side.text.hide_types)
        self._lay_out()
        *enters, escape = self._keys = shortcuts(self)
        for enter in enters:
            enter.activated.connect(self.read_note)
        escape.activated.connect(self.stop)
        self._show_choices()
        self._show_run()

    def _lay_out(self) -> None:
        self.add(Banner(self.tr("Research demonstration. Not for diagnosis or treatment.")))
        for widget in (
            self.head,
            self.head.saved,
            self.model,
            self.note,
            self.beside,
            self.blind,
            self.waits,
            self.legend,
        ):
            self.add(widget)
        self.add(Row(*self.sides.values()))
        self.finish()
        set_tab_order(self)

    # -- what others ask of the page ---------------------------------------------------------------------------------

    def show_desk(self, desk: Desk) -> None:
        """Ten times a second while the page is seen: changes what has changed, never the note or the caret."""
        if desk.session is not self._desk.session and self._run and not self._is_running():
            self._drop_run()
        self._desk = desk
        self.model.show_base(desk.session.model if desk.session else None)
        self._show_model()
        self.note.show_types(desk.spec.types if desk.spec else None)
        self.note.task.show_tasks(task_choices(desk))
        self._show_choices()
        if self._run:
            self._run.fold(desk)
        self._show_run()

    def offer_model(self, model: Path, adapter: Path | None) -> None:
        """Reads with this model, and with the adapter beside it, while there is no session."""
        self.model.offer(model, adapter)
        self._model_changed()

    def choose(self, key: str) -> None:
        """Reads with this choice on the right side; one that is not known yet is chosen as soon as it is."""
        self._wanted, self._picked = key, True
        self._show_choices()
        self._seen = None
        self._show_run()

    @Slot()
    def _show_model(self) -> None:
        """A session has its own model; and what the note is read with is not changed while results are looked at."""
        self.model.setVisible(self._desk.session is None and not self.note.is_folded())
        self._show_offer()

    @Slot()
    def _show_offer(self) -> None:
        """An adapter's folder can be chosen on the right side wherever the row of the model does not offer that."""
        has_result = self._run is not None and "right" in self._run.keys and self.note.is_folded()
        self.sides["right"].show_offer(self.model.isHidden() and not has_result, self.model.fault.text())

    # -- choices -----------------------------------------------------------------------------------------------------

    def _show_choices(self) -> None:
        found = choices(self._desk, self.model.adapter, self.model.bundled)
        left, right = self.sides["left"].box, self.sides["right"].box
        left.show_choices(self.sides["left"].kept(found, self._is_shown("left")), BASE)
        adapters = [choice for choice in found if choice.key != BASE]
        best = adapters[0].key if adapters else ""
        if not self._picked and not self._is_shown("right") and best and right.key() in ("", BASE):
            right.show_choices(found, best)
            right.choose(best)
        right.show_choices(self.sides["right"].kept(found, self._is_shown("right")), best or BASE)
        if self._wanted and right.choose(self._wanted):
            self._wanted = ""
        self.sides["right"].set_choosable(bool(adapters) or right.key() not in ("", BASE))
        self.beside.setVisible(not self._is_alone())
        self.sides["left"].setVisible(self._is_alone() or self.beside.isChecked())
        self.blind.setVisible(not self._is_alone() and self.beside.isChecked())

    def _is_shown(self, side: Side) -> bool:
        return self._run is not None and side in self._run.keys

    @Slot()
    def _chosen(self) -> None:
        self._seen = None
        self._show_run()

    @Slot()
    def _chosen_right(self) -> None:
        self._picked = True
        self._chosen()

    @Slot()
    def _model_changed(self) -> None:
        self._picked = False
        if not self._is_running():
            self._drop_run()
        self._show_choices()
        self._show_run()

    @Slot()
    def _adapter_chosen(self) -> None:
        """Shows the adapter that the person chose on the right; what the left side has found stays beside it."""
        assert self.model.adapter
        self.choose(f"{FOLDER}{self.model.adapter}")

    # -- the note ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def open_file(self, path: Path) -> None:
        """Reads the file beside the GUI thread, since it may lie on a share; then it is the note."""
        self.note.show_fault("")
        self._task = run_task(self, lambda: note_of_file(path), self._opened, self._not_opened, self._task)

    @Slot(object)
    def _opened(self, text: str) -> None:
        if not self._is_running():
            self.note.set_text(text)

    @Slot(object)
    def _not_opened(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.note.set_folded(False)
        self.note.show_fault(told(error))

    @Slot()
    def _note_changed(self) -> None:
        """Drops what was found: it belongs to another note."""
        if self._run and not self._is_running():
            self._drop_run()
            self._show_run()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _is_running(self) -> bool:
        return self._run is not None and not self._run.is_over

    @Slot()
    def _read_or_stop(self) -> None:
        if self._is_running():
            self.stop()
        else:
            self.read_note()

    @Slot()
    def read_note(self) -> None:
        """Asks for the note to be read, or says under the field what is missing."""
        if self._is_running() or (asking := self.note.checked()) is None:
            return
        self.head.saved.clear()
        if self.beside.isChecked() and not self._is_alone():
            self.blind.begin(asking.task)
        left, right = (self.sides[side].box.key() for side in SIDES)
        keys: dict[Side, str] = {} if self._is_alone() else {"right": right}
        if self._is_alone() or self.beside.isChecked():
            keys["left"] = left
        self._run = Run(asking.text, asking.types, keys, dict(self._desk.readings), task=asking.task)
        self._asking = asking
        self._seen = None
        model = self.model.model if self._desk.session is None else None
        self.note.set_folded(True, about(asking, model.name if model else ""))
        self._show_model()
        self._show_run()
        self.head.read.setFocus()
        self._ask_for(asking, keys)

    def _ask_for(self, asking: Asking, keys: Mapping[Side, str]) -> None:
        model = self.model.model if self._desk.session is None else None
        asked = (asking.task, asking.question, asking.options)
        wish = TrialWish(asking.text, asking.types, keys.get("left"), keys.get("right"), model, *asked)
        self.read_requested.emit(wish)

    @Slot()
    def _besides(self) -> None:
        """A note that was read with the adapter is read with the base too, at once."""
        self._show_choices()
        run, key = self._run, self.sides["left"].box.key()
        if self.beside.isChecked() and run and run.is_over and "left" not in run.keys:
            run.add("left", key, self._desk.readings.get("left"))
            self._ask_for(self._asking, {"left": key})
        self._seen = None
        self._show_run()

    def _is_alone(self) -> bool:
        """Tells whether the base model is read alone, since there is no adapter."""
        return not self.sides["right"].is_choosable

    @Slot()
    def stop(self) -> None:
        """Asks to stop between two tokens; what was found stays. Nothing where nothing is read."""
        if self._run and self._is_running() and not self._run.stopping:
            self._run.stop()
            self.stop_requested.emit()
            self._show_run()

    def _drop_run(self) -> None:
        self._run = self._seen = None
        self.blind.end()
        self.note.set_folded(False)
        self._show_model()

    # -- what is shown -----------------------------------------------------------------------------------------------

    def _show_run(self) -> None:
        run = self._run
        waits = waits_for(self._desk, self._clock()) if run and run.is_waiting and not run.is_over else ""
        if waits != self.waits.text():
            self.waits.show_message(waits)
        come = run and (dict(run.states), dict(run.readings), dict(run.failures), dict(run.answers), run.stopping)
        self.blind.show_run(run)
        now = come, self._is_alone(), self.blind.hides
        if now == self._seen:
            return
        self._seen = now
        self._show_buttons()
        found = {span for reading in run.readings.values() for span in reading.spans} if run else set()
        tokens = colors((span.type for span in found), colors(run.types if run else ()))  # modifiers after their types
        for side in SIDES:
            self.sides[side].text.color_types(tokens)
            self._show_side(side)
        self._show_offer()
        self.legend.show_types(count_types(found), tokens)

    def _show_buttons(self) -> None:
        runs = self._is_running()
        self.head.show_reading(runs, stopping=runs and self._run is not None and self._run.stopping)
        self.head.save.show_results(self._results)
        self.head.save.show_exports(any(choice.key != BASE for choice in self.read_with()))
        boxes = [side.box for side in self.sides.values()]
        model, adapter = self.model.choose_model, self.model.choose_adapter
        for widget in (self.note.edit, model, adapter, self.sides["right"].choose, *boxes):
            widget.setEnabled(not runs)
        self.beside.setEnabled(not runs and not self.blind.hides)
        self.blind.wanted.setEnabled(not runs and not self.blind.hides)
        self.note.editor.setReadOnly(runs)

    def read_with(self) -> list[Choice]:
        """Models that the note was read with, the right side's first."""
        boxes = [self.sides[side].box for side in reversed(SIDES) if self._is_shown(side)]
        return [choice for box in boxes if (choice := box.choice())]

    def _results(self) -> Results | None:
        names = {at: choice.label if (choice := side.box.choice()) else "" for at, side in self.sides.items()}
        shown = self._run if not self.blind.hides else None
        return results(shown, self._asking, names, self.legend.hidden()) if shown else None

    def _show_side(self, side: Side) -> None:
        card, run = self.sides[side], self._run
        none = no_adapter(self._desk, can_choose=not self.model.isHidden()) if self._is_alone() else ""
        if run is None:
            card.show_hint(none if side == "right" else "")
        elif side not in run.keys:
            card.show_hint(none or self.tr("The note has not been read with this one yet."))
        elif run.keys[side] != card.box.key():
            card.show_unread(run.text)
        else:
            reading, answered = run.readings.get(side), run.answers.get(side)
            other = run.answers.get("left" if side == "right" else "right") if self._compares() else None
            answer = (
                answer_view(answered, run.text, self._asking.options, other, run.mentions(side)) if answered else None
            )
            missed = lacked(run.readings, side, run.reached) if self._compares() else {}
            state = shown(run, side, names_base=not self.blind.hides)
            card.show_run(run.text, state, reading, missed, answer, marks=self._asking.marks)

    def _compares(self) -> bool:
        """Tells whether both sides show results of what is chosen on them now."""
        run = self._run
        return run is not None and all(run.keys.get(at) == self.sides[at].box.key() for at in SIDES)
