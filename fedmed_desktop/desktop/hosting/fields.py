# SPDX-License-Identifier: Apache-2.0
"""Fields of the form that founds a federation, with what stands below each; few people need those behind "Advanced"."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...wording import tr
from ..guide.method_picker import MethodPicker
from ..widgets import Row, Spaced
from ..widgets.field import Field
from .form import UNITS, FieldName
from .parts import Below, NamedChoice


def usual_fields() -> dict[FieldName, Field]:
    """Fields that everybody fills in who founds a federation."""
    return {**_of_what(), **_of_how(), **_of_where()}


def _of_what() -> dict[FieldName, Field]:
    return {
        "name": Field(tr("Name of the federation"), tr("Every site sees it."), tr("Riverside federation")),
        "model": Field(tr("Model folder"), tr("Every site needs the same files."), browse="folder"),
        "types": Field(
            tr("Types of entities"),
            tr("Words of your own, separated by commas. Each site says which of its types is which of these."),
            "drug, problem",
        ),
        "modifiers": Field(
            tr("Modifiers of these"), tr("Also words of your own, separated by commas."), "dosage, route"
        ),
    }


def _of_how() -> dict[FieldName, Field]:
    return {
        "rounds": Field(tr("Rounds"), tr("In each round, every site trains once and decides once.")),
        "hours": Field(tr("Hours that a round may take"), tr("Then it closes, if enough sites have sent.")),
        "sites": Field(tr("Sites that are expected"), tr("The first round begins once this many have joined.")),
        "quorum": Field(tr("Sites that a round needs"), tr("A round needs updates from at least this many sites.")),
    }


def fields_of_training() -> dict[FieldName, Field]:
    """Fields about how it goes that few need."""
    return {
        "notes": Field(
            tr("Public notes"),
            tr("This method measures updates on notes that all sites may read. None may be a patient's."),
            browse="file",
        ),
        "begin_with": Field(
            tr("Adapter to begin with"),
            tr("For example the final one of an earlier federation. Leave it empty to start from scratch."),
            browse="folder",
        ),
        "passes": Field(tr("Passes over the notes"), tr("How often a site goes through its notes in a round.")),
        "clients": Field(
            tr("Sites asked in each round"), tr("Chosen at random in each round. Leave it empty to ask all.")
        ),
        "decide": Field(
            tr("Hours for each decision"), tr("After that, an adapter that nobody has decided on expires.")
        ),
        "rank": Field(tr("Rank of the adapter"), tr("A higher one can learn more, and takes longer to send.")),
        "epsilon": Field(
            tr("Privacy budget (epsilon)"),
            tr("For differential privacy: the smaller, the better protected. Leave it empty to do without."),
            "3",
        ),
    }


def _of_where() -> dict[FieldName, Field]:
    return {
        "address": Field(
            tr("Address of this computer"), tr("Sites connect to it; their invitations name it."),
            "federation.example.org",
        ),
        "port": Field(tr("Port"), tr("Your firewall must let sites connect to it.")),
        "folder": Field(
            tr("Folder of the federation"), tr("Everything that the federation needs is kept there."), browse="folder"
        ),
    }  # fmt: skip


def fields_of_serving() -> dict[FieldName, Field]:
    """Fields about where it is served that few need."""
    return {
        "public_port": Field(
            tr("Port in the invitations"),
            tr("If your network forwards another port to the one above."),
            "443",
        ),
        "certificate": Field(
            tr("Certificate"),
            tr("From your hospital's certificate authority, as a PEM file. Left empty, the program makes its own."),
            browse="file",
        ),
        "key": Field(
            tr("Key of the certificate"), tr("Its private key, as a PEM file without a password."), browse="file"
        ),
        "keep": Field(
            tr("Rounds whose updates are kept"),
            tr("Files of older updates are deleted, combined adapters never. Leave it empty to keep all."),
        ),
    }


class RareTraining(Spaced):
    """Method, an adapter to begin with, and other settings of how it goes that are usual otherwise."""

    def __init__(self, method: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields = fields_of_training()
        self.methods, self.about = MethodPicker(method), Below()
        self.unit = NamedChoice(tr("What it protects"), UNITS)
        of = self.fields
        self._lay(column := QVBoxLayout(self), (0, 0, 0, 0), 16)
        for part in (
            column_of(self.methods, self.about, spacing=8),
            of["notes"],
            of["begin_with"],
            beside(of["passes"], of["clients"]),
            beside(of["decide"], of["rank"]),
            beside(of["epsilon"], self.unit),
        ):
            column.addWidget(part)


class RareServing(Spaced):
    """Settings of where it is served that a hospital's network may ask for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields = fields_of_serving()
        self._lay(column := QVBoxLayout(self), (0, 0, 0, 0), 16)
        for field in self.fields.values():
            column.addWidget(field)


def beside(*parts: QWidget) -> Row:
    """Row of parts side by side, their lines at one height however much is said below them."""
    row = Row(*parts)
    for part in parts:
        row.content.setAlignment(part, Qt.AlignmentFlag.AlignTop)
    return row


def column_of(*parts: QWidget, spacing: int) -> Spaced:
    """Column of parts that stand closer than parts that do not belong together."""
    whole = Spaced()
    column = QVBoxLayout(whole)
    whole._lay(column, (0, 0, 0, 0), spacing)
    for part in parts:
        column.addWidget(part)
    return whole
