# SPDX-License-Identifier: Apache-2.0
"""The form that founds a federation: what is learned, how, and where it is served; each field judged as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from ..look.fields import EMPTY, Verdict, checking
from ..widgets import Card, Spaced
from ..widgets.field import Field
from ..widgets.folded import Folded
from ..work.tasks import Task, run_task
from . import files
from .fields import RareServing, RareTraining, beside, column_of, usual_fields
from .form import ENVIRONMENTS, OPTIONAL, REACHES, FieldName, HostForm, quorum_for, slug
from .judging import verdicts
from .parts import Below, NamedChoice, TaskTicks

# Filled in with what is usual.
USUAL: Final[tuple[FieldName, ...]] = (
    "rounds", "hours", "sites", "quorum", "passes", "decide", "rank", "port", "keep",
)  # fmt: skip
# What is looked at anew once the typing in a field has paused: itself, and what is judged by it.
_JUDGED_BY: Final[dict[str, tuple[FieldName, ...]]] = {
    "model": ("model", "begin_with"),
    "begin_with": ("begin_with",),
    "rank": ("begin_with",),
    "types": ("notes",),
    "notes": ("notes",),
    "port": ("port",),
    "folder": ("folder",),
    "address": ("certificate",),
    "certificate": ("certificate",),
    "key": ("certificate",),
}


class FormPanel(Spaced):
    """`changed` with every key and every verdict. `root`: where the folders of federations are kept unless told.

    What is typed is judged at once; the model, the port and the folder on a thread of the pool.
    """

    changed = Signal()
    guide_requested = Signal(str)

    def __init__(self, root: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._root = root
        self._tasks: dict[str, Task] = {}
        self._own: set[FieldName] = set()  # typed by the person, so that nothing fills it in
        self._known: tuple[str, ...] | None = None  # names of this computer
        self.ticks = TaskTicks()
        self.model = NamedChoice(
            self.tr("Language model"),
            {
                "bundled": self.tr("The small model that comes with the program"),
                "other": self.tr("Another model, in a folder of this computer"),
            },
        )
        self.environment = NamedChoice(
            self.tr("What it is for"), ENVIRONMENTS, self.tr("Every site sees this word above its pages.")
        )
        self.reach = NamedChoice(self.tr("Who can take part"), REACHES)
        self.confirm = QCheckBox(self.tr("Confirm each new site"))
        self.confirm.setChecked(True)
        self.fields = usual_fields()
        self._method = EMPTY  # the verdict on it
        self._fill(self.fields)
        self._arrange()
        self._connect()
        self.weigh()

    @cached_property
    def training(self) -> RareTraining:
        """Made at the first need, as `serving` is: there are many parts in them."""
        made = RareTraining(HostForm().method)
        self._adopt(self.rare, made, made.fields)
        made.methods.chosen.connect(self.weigh)
        made.methods.guide_requested.connect(self.guide_requested)
        made.unit.chosen.connect(self.weigh)
        self.fields["clients"].touched.connect(self._count_quorum)
        return made

    @cached_property
    def serving(self) -> RareServing:
        made = RareServing()
        self._adopt(self.rare_places, made, made.fields)
        return made

    def _adopt(self, place: Folded, part: QWidget, fields: dict[FieldName, Field]) -> None:
        self._fill(fields)
        self.fields |= fields
        place.add(part)
        self._connect_fields(fields)

    def _arrange(self) -> None:
        fields = self.fields
        what = _card(self.tr("What is learned"), fields["name"], self.model, fields["model"], self.ticks)
        what.add(fields["types"])
        what.add(fields["modifiers"])
        how = _card(
            self.tr("How it goes"),
            beside(fields["rounds"], fields["hours"]),
            beside(fields["sites"], fields["quorum"]),
            self.environment,
        )
        self.rare, self.rare_places = Folded(self.tr("Advanced")), Folded(self.tr("Advanced"))
        how.add(self.rare)
        words = Below(
            self.tr("It waits until you have compared six words by phone, which shows that nobody is in between.")
        )
        confirm = column_of(self.confirm, words, spacing=4)
        where = _card(
            self.tr("Where it is served"),
            self.reach,
            beside(fields["address"], fields["port"]),
            confirm,
            fields["folder"],
            self.rare_places,
        )
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 16)
        for card in (what, how, where):
            column.addWidget(card)

    def _connect(self) -> None:
        self._connect_fields(self.fields)
        self.fields["name"].touched.connect(self._name_folder)
        self.fields["sites"].touched.connect(self._count_quorum)
        for name in ("folder", "quorum", "address"):
            self.fields[name].line.setProperty("field", name)
            self.fields[name].line.textEdited.connect(self._is_own)
        self.model.chosen.connect(self._turn_model)
        self.reach.chosen.connect(self.weigh)
        self.ticks.changed.connect(self._turn_tasks)
        self.environment.chosen.connect(self.weigh)
        self.rare.opened.connect(self._make_training)
        self.rare_places.opened.connect(self._make_serving)

    def _connect_fields(self, fields: dict[FieldName, Field]) -> None:
        for name, field in fields.items():
            field.setProperty("field", name)
            field.touched.connect(self.weigh)
            field.edited.connect(self._look_after)

    @Slot()
    def _make_training(self) -> None:
        if "training" not in self.__dict__:
            self.training.show()
            self.weigh()

    @Slot()
    def _make_serving(self) -> None:
        if "serving" not in self.__dict__:
            self.serving.show()
            self.weigh()

    def begin(self) -> None:
        """Looks at this computer; what was typed before is still there."""
        self._run("names", files.own_names, self._named)
        self._look("port")
        self.weigh()

    def _fill(self, fields: dict[FieldName, Field]) -> None:
        usual = HostForm()
        for name in fields.keys() & USUAL:
            fields[name].fill(getattr(usual, name))

    def drop(self) -> None:
        """Stops what is being looked at."""
        for task in self._tasks.values():
            task.drop()
        self._tasks.clear()

    def forget(self) -> None:
        """Empties what belongs to one federation alone, and fills in what is usual."""
        self.drop()
        self._fill(self.fields)
        self._own.discard("folder")
        for name in self.fields.keys() & {"name", "folder", "begin_with"}:
            self.fields[name].fill("")
            self.fields[name].show_verdict(EMPTY)

    # -- what is typed -------------------------------------------------------------------------------------------------

    def form(self) -> HostForm:
        typed: dict[str, Any] = {name: field.text() for name, field in self.fields.items()}
        if "training" in self.__dict__:
            typed |= {"method": self.training.methods.key(), "unit": self.training.unit.key()}
        return HostForm(
            **typed,
            other_model=self.model.key() == "other",
            tasks=self.ticks.chosen(),
            environment=self.environment.key(),  # type: ignore[arg-type]
            reach=self.reach.key(),  # type: ignore[arg-type]
            confirm=self.confirm.isChecked(),
        )

    @property
    def is_right(self) -> bool:
        """Tells whether a federation can be founded with it."""
        return not any(self.fields[name].waiting for name in self._shown()) and {"right"} == {
            verdict.state for verdict in self._verdicts()
        }

    def what_is_missing(self) -> str:
        """A sentence for beside the button; "" where nothing is."""
        if self.is_right:
            return ""
        found = {verdict.state for verdict in self._verdicts()}
        if "wrong" in found:
            return self.tr("Something above is not right yet.")
        if "empty" in found:
            return self.tr("Something above is still empty.")
        return self.tr("Looking…")

    def _shown(self) -> list[FieldName]:
        return [name for name in self.form().needed if name in self.fields]

    def _verdicts(self) -> list[Verdict]:
        """Verdicts on all that this federation has, fields that may stay empty once something is in them."""
        shown = [
            self.fields[name].verdict for name in self._shown() if self.fields[name].text() or name not in OPTIONAL
        ]
        return [*shown, self.ticks.below.verdict, self._method]

    @Slot()
    def weigh(self) -> None:
        """Shows the fields that this federation has, each with what is to be said of it."""
        form = self.form()
        needed = form.needed
        for name, field in self.fields.items():
            field.setVisible(name in needed)
        found = verdicts(form, self._known)
        self.ticks.below.show_verdict(found["tasks"])
        self._method = found["method"]
        for name, verdict in found.items():
            if name in self.fields:
                self.fields[name].show_verdict(verdict)
        if form.weighs_by_notes or self._has_wrong(self.rare) or self._method.state == "wrong":
            self.rare.open()
        if "training" in self.__dict__:
            self.training.about.show_verdict(self._method)
            self.training.unit.setVisible(bool(form.epsilon))
        if self._has_wrong(self.rare_places):
            self.rare_places.open()
        self.changed.emit()

    def _has_wrong(self, part: QWidget) -> bool:
        """Tells whether a field in there is wrong, which must be seen."""
        return any(
            field.verdict.state == "wrong" and part.isAncestorOf(field) and not field.isHidden()
            for field in self.fields.values()
        )

    @Slot(str)
    def _is_own(self, _text: str) -> None:
        line = self.sender()
        if line is not None:
            self._own.add(line.property("field"))

    @Slot()
    def _name_folder(self) -> None:
        if "folder" not in self._own:
            name = self.fields["name"].text()
            self.fields["folder"].line.setText(str(self._root / slug(name)) if name else "")

    @Slot()
    def _count_quorum(self) -> None:
        usual = quorum_for(self.fields["sites"].text(), self.form().clients)
        if "quorum" not in self._own and usual:
            self.fields["quorum"].line.setText(usual)

    @Slot()
    def _turn_tasks(self) -> None:
        self.weigh()
        self._look("notes")

    @Slot()
    def _turn_model(self) -> None:
        self.weigh()
        self._look("model")
        self._look("begin_with")

    # -- what is looked at ---------------------------------------------------------------------------------------------

    @Slot()
    def _look_after(self) -> None:
        """The typing in a field has paused."""
        field = self.sender()
        for name in _JUDGED_BY.get(field.property("field") if field else "", ()):
            self._look(name)
        self.changed.emit()  # nothing waits for its pause any more

    def _look(self, name: FieldName) -> None:
        if name not in self.fields:
            return
        for one in ("certificate", "key") if name == "certificate" else (name,):
            self.fields[one].show_verdict(checking() if self.fields[one].text() else EMPTY)
        self._run(name, partial(files.look, name, self.form()), self._seen)
        self.changed.emit()

    def _run(self, name: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._tasks[name] = run_task(self, work, done, self._fault, self._tasks.get(name))

    @Slot(object)
    def _seen(self, found: dict[FieldName, Verdict]) -> None:
        for name, verdict in found.items():
            if not self.fields[name].waiting:  # else another one is being typed
                self.fields[name].show_verdict(verdict)
        self.changed.emit()

    @Slot(object)
    def _named(self, names: tuple[str, ...]) -> None:
        self._known = names
        if names and "address" not in self._own:
            self.fields["address"].fill(names[0])
        self.weigh()

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows; a person's mistake is a verdict."""
        raise error


def _card(title: str, *parts: QWidget) -> Card:
    card = Card(title, least=300)
    card.content.setSpacing(16)
    for part in parts:
        card.add(part)
    return card
