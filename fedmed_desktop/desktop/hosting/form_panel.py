# SPDX-License-Identifier: Apache-2.0
"""The form that founds a federation: what is learned, how, and where it is served; each field judged as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from ..guide.method_picker import MethodPicker
from ..look.fields import EMPTY, Verdict, checking
from ..widgets import Card, LinkButton, Row, Spaced
from ..widgets.field import Field
from ..work.files import look_at_model
from ..work.tasks import Task, run_task
from . import files
from .form import ENVIRONMENTS, REACHES, FieldName, HostForm, quorum_for, slug, verdicts
from .parts import Below, NamedChoice, TaskTicks


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
        self.advanced = LinkButton(self.tr("Advanced"), "chevron")
        self.methods, self.about_method = MethodPicker("fed_medlora"), Below()
        self.confirm = QCheckBox(self.tr("Confirm each new site"))
        self.confirm.setChecked(True)
        self.fields = self._make_fields()
        self._arrange()
        self._connect()
        self.begin()

    def _make_fields(self) -> dict[FieldName, Field]:
        return {
            "name": Field(
                self.tr("Name of the federation"), self.tr("Every site sees it."), self.tr("Riverside federation")
            ),
            "model": Field(self.tr("Model folder"), self.tr("Every site needs the same files."), browse="folder"),
            "types": Field(
                self.tr("Types of entities"),
                self.tr("Words of your own, separated by commas. Each site says which of its types is which of these."),
                "drug, problem",
            ),
            "modifiers": Field(
                self.tr("Modifiers of these"), self.tr("Also words of your own, separated by commas."), "dosage, route"
            ),
            "rounds": Field(self.tr("Rounds"), self.tr("In each, every site trains once and decides once.")),
            "sites": Field(self.tr("Sites that are expected"), self.tr("The first round waits for so many.")),
            "quorum": Field(
                self.tr("Sites that a round needs"), self.tr("A round closes with so many updates at least.")
            ),
            "hours": Field(
                self.tr("Hours that a round may take"), self.tr("Then it closes, if enough sites have sent.")
            ),
            "notes": Field(
                self.tr("Public notes"),
                self.tr("This method measures updates on notes that all sites may read. None may be a patient's."),
                browse="file",
            ),
            "address": Field(
                self.tr("Address of this computer"), self.tr("Sites call it: it stands in their invitations."),
                "federation.example.org",
            ),
            "port": Field(self.tr("Port"), self.tr("Your firewall must let sites in there.")),
            "folder": Field(
                self.tr("Folder of the federation"), self.tr("It keeps all that the federation needs."),
                browse="folder",
            ),
        }  # fmt: skip

    def _arrange(self) -> None:
        fields = self.fields
        self.behind = _column(self.methods, self.about_method, fields["notes"], spacing=8)
        self.behind.hide()
        what = _card(self.tr("What is learned"), fields["name"], self.model, fields["model"], self.ticks)
        what.add(fields["types"])
        what.add(fields["modifiers"])
        how = _card(
            self.tr("How it goes"),
            _beside(fields["rounds"], fields["hours"]),
            _beside(fields["sites"], fields["quorum"]),
            self.environment,
        )
        how.content.addWidget(self.advanced, 0, Qt.AlignmentFlag.AlignLeft)
        how.add(self.behind)
        words = Below(
            self.tr("It waits until you have compared six words with it by phone: nobody is in between then.")
        )
        confirm = _column(self.confirm, words, spacing=4)
        where = _card(
            self.tr("Where it is served"), self.reach, fields["address"], fields["port"], confirm, fields["folder"]
        )
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 16)
        for card in (what, how, where):
            column.addWidget(card)

    def _connect(self) -> None:
        for field in self.fields.values():
            field.touched.connect(self.weigh)
        self.fields["name"].touched.connect(self._name_folder)
        self.fields["sites"].touched.connect(self._count_quorum)
        self.fields["model"].edited.connect(self._look_at_model)
        self.fields["notes"].edited.connect(self._look_at_notes)
        self.fields["port"].edited.connect(self._look_at_port)
        self.fields["folder"].edited.connect(self._look_at_folder)
        for name in ("folder", "quorum", "address"):
            self.fields[name].line.setProperty("field", name)
            self.fields[name].line.textEdited.connect(self._is_own)
        self.model.chosen.connect(self._turn_model)
        self.reach.chosen.connect(self.weigh)
        self.ticks.changed.connect(self.weigh)
        self.environment.chosen.connect(self.weigh)
        self.methods.chosen.connect(self.weigh)
        self.methods.guide_requested.connect(self.guide_requested)
        self.advanced.clicked.connect(self._toggle)

    def begin(self) -> None:
        """Fills in what is usual, and looks at this computer."""
        usual = HostForm()
        for name in ("rounds", "sites", "quorum", "hours", "port"):
            self.fields[name].fill(getattr(usual, name))
        self._run("names", files.own_names, self._named)
        self._look_at_port()
        self.weigh()

    def drop(self) -> None:
        """Stops what is being looked at."""
        for task in self._tasks.values():
            task.drop()
        self._tasks.clear()

    def forget(self) -> None:
        """Empties what belongs to one federation alone."""
        self.drop()
        self._own.discard("folder")
        for name in ("name", "folder"):
            self.fields[name].fill("")
            self.fields[name].show_verdict(EMPTY)

    # -- what is typed -------------------------------------------------------------------------------------------------

    def form(self) -> HostForm:
        typed = {name: field.text() for name, field in self.fields.items()}
        return HostForm(
            **typed,
            other_model=self.model.key() == "other",
            tasks=self.ticks.chosen(),
            environment=self.environment.key(),  # type: ignore[arg-type]
            method=self.methods.key(),
            reach=self.reach.key(),  # type: ignore[arg-type]
            confirm=self.confirm.isChecked(),
        )

    @property
    def is_right(self) -> bool:
        """Tells whether a federation can be founded with it."""
        form = self.form()
        shown = [self.fields[name] for name in form.needed if name in self.fields]
        chosen = (self.ticks.below.verdict, self.about_method.verdict)
        return all(one.state == "right" for one in chosen) and all(
            field.verdict.state == "right" and not field.waiting for field in shown
        )

    def what_is_missing(self) -> str:
        """A sentence for beside the button; "" where nothing is."""
        if self.is_right:
            return ""
        shown = [self.fields[name] for name in self.form().needed if name in self.fields]
        found = [*(field.verdict for field in shown), self.ticks.below.verdict, self.about_method.verdict]
        if any(verdict.state == "wrong" for verdict in found):
            return self.tr("Something above is not right yet.")
        if any(verdict.state == "empty" for verdict in found):
            return self.tr("Something above is still empty.")
        return self.tr("Looking…")

    @Slot()
    def weigh(self) -> None:
        """Shows the fields that this federation has, each with what is to be said of it."""
        form = self.form()
        for name, field in self.fields.items():
            field.setVisible(name in form.needed)
        found = verdicts(form, self._known)
        self.ticks.below.show_verdict(found["tasks"])
        self.about_method.show_verdict(found["method"])
        for name, verdict in found.items():
            if name in self.fields:
                self.fields[name].show_verdict(verdict)
        if found["method"].state == "wrong" or form.weighs_by_notes:
            self._open(True)
        self.changed.emit()

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
        if "quorum" not in self._own and (usual := quorum_for(self.fields["sites"].text())):
            self.fields["quorum"].line.setText(usual)

    @Slot()
    def _turn_model(self) -> None:
        self.weigh()
        self._look_at_model()

    @Slot()
    def _toggle(self) -> None:
        self._open(self.behind.isHidden())

    def _open(self, shown: bool) -> None:
        self.behind.setVisible(shown)
        self.advanced.set_icon("chevron_up" if shown else "chevron")

    # -- what is looked at ---------------------------------------------------------------------------------------------

    @Slot()
    def _look_at_model(self) -> None:
        self._look("model", partial(look_at_model, self.fields["model"].text()))

    @Slot()
    def _look_at_notes(self) -> None:
        self._look("notes", partial(files.look_at_notes, self.fields["notes"].text(), self.form()))

    @Slot()
    def _look_at_port(self) -> None:
        self._look("port", partial(files.look_at_port, self.fields["port"].text()))

    @Slot()
    def _look_at_folder(self) -> None:
        self._look("folder", partial(files.look_at_folder, self.fields["folder"].text()))

    def _look(self, name: FieldName, look: Callable[[], Verdict]) -> None:
        self.fields[name].show_verdict(checking() if self.fields[name].text() else EMPTY)
        self._run(name, lambda: (name, look()), self._seen)
        self.changed.emit()

    def _run(self, name: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._tasks[name] = run_task(self, work, done, self._fault, self._tasks.get(name))

    @Slot(object)
    def _seen(self, found: tuple[FieldName, Verdict]) -> None:
        name, verdict = found
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


def _beside(*parts: QWidget) -> Row:
    """Side by side, their lines at one height however much is said below them."""
    row = Row(*parts)
    for part in parts:
        row.content.setAlignment(part, Qt.AlignmentFlag.AlignTop)
    return row


def _column(*parts: QWidget, spacing: int) -> Spaced:
    whole = Spaced()
    column = QVBoxLayout(whole)
    whole._lay(column, (0, 0, 0, 0), spacing)
    for part in parts:
        column.addWidget(part)
    return whole
