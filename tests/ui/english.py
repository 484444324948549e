# SPDX-License-Identifier: Apache-2.0
"""Texts that a window shows in English although another language is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTableView,
    QTextBrowser,
    QTextEdit,
    QWidget,
)

from fedmed_desktop.clinical import examples
from fedmed_desktop.clinical.readers import READERS
from fedmed_desktop.desktop.guide.files import UNDER, guide_title
from fedmed_desktop.desktop.guide.search_panel import Results
from fedmed_desktop.desktop.widgets.marked_text import MarkedText
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.resources import resource
from fedmed_desktop.wording.catalogue import LANGUAGES
from tests.parts.record import OPERATOR, REASON
from tests.parts.scene import SPECIALTIES
from tests.ui.scenes_of_history import LONG
from tests.ui.scenes_of_settings import PACKAGES
from tests.ui.scenes_of_tasks import GIVEN

# What no translator changes: names that people gave, names of methods and of data, addresses, files and units.
_EXPERIMENT = ("centralised", "alone", "base")
_TYPES = "drug|problem|test|dosage|route|duration|severity|temporal|uncertain"
_NAMES = re.compile(
    r"(wss?|https?)://\S+|federation\.example\.org:8765|fedmed:\S+"  # addresses and invitations
    r"|\bamber.otter.candle.river.jacket.moon\b"  # six words, the same on both sides
    r"|\babsorb.fabric.oblige.sunset.tiger.velvet\b"  # and those of all sites that mask together
    r"|[\w./-]*/[\w./-]+|\b[\w-]+\.(json|jsonl|log)\b"  # files
    rf"|\b({'|'.join(LANGUAGES.values())})\b"  # languages, by their own names
    r"|\bsha256\b|\b[0-9a-f]{64}\b|\b([0-9a-f]{4}[ \xa0])+[0-9a-f]{4}\b"  # hashes
    r"|\b(fedmed-desktop|demo-report|demo_model|demo_notes|PySide6(-Essentials)?|TEST|GPU|TLS|[kMG]B|ZeroDivisionError)\b"
    r"|\b2nd line\b|Dr\. Weber|The data folder \S+ is used by another coordinator\. Stop that one first\."  # its log
    r"|\b(Harbour Clinic|Mercy General|Northfield|St\. Anne|Valley Hospital|Universitätsklinikum [\w ]+)\b"  # hosted
    r"|\bamber[ -]otter[ -]lunar[ -]basil[ -]quiet[ -]maple\b|\b(Mo|Di|Mi|Do|Fr|Sa|So)\. \d+\. [A-Z][a-z]+, [\d:]+"
    r"|\b(Hillcrest|Lakeview|Lakes federation 2025|Riverside([ \xa0]federation)?|Demonstration|r\.okafor)\b"
    r"|\bFederation, round 2\b"  # as the evaluation that is shown has named it
    rf"|\b({'|'.join(SPECIALTIES)})\b"
    r"|\b(four_eyes|most_bytes)\b"  # keys of a site's policy, as its file has them
    rf"|[\w ]+( → [\w ]+)? \(({_TYPES})\)"  # a mention in a note, with its type
    rf"|\b({_TYPES}|Chemical|Disease|train)\b|\b(Drug|Problem|Test|Dosage|Route)(?=:|$| F1|, )"  # types and splits
    r"|\b(All types improved|Better on all three types; two notes checked by hand)\."  # reasons that a person wrote
    rf"|{re.escape(OPERATOR)}|{re.escape(REASON)}|{re.escape(LONG)}|\brokafor\b"  # in a site's record
    rf"|{'|'.join(f'{name}|{re.escape(licence)}' for name, _, licence in PACKAGES)}|[\w.-]+\.example\.org:8765"
    r"|epsill?on|too large a step|over norm ratio"  # rules of a policy, as its file has them
    r"|Monthly review|It was the night shift\."
    r"|is not as it was written|permission denied|\b[0-9a-f]{12}\b|\b\d+\.\d+\.\d+(\.dev\d+)?\b"
    r"|it is not valid TOML: [\w ]+ \(at line \d+, column \d+\)"  # a library's words, as details
    rf"|\b({'|'.join((*_EXPERIMENT, *METHODS))})(-\d)?\b|\badaptive\b"  # labels in an experiment's file
    rf"|\b({'|'.join(re.escape(reader.name) for reader in READERS)}|PubTator|JSON)\b"  # formats of notes
    r"|not valid JSON at column \d+: [\w ]+|entity \d+, offsets \d+ to \d+: [\w' ]+"  # a reader's reasons, as details
    rf"|\b({'|'.join(map(re.escape, GIVEN))})(?!\w)|\b[A-Z]\d\w(\.\w+)?\b"  # words of a task, codes
    r"|\b[a-z]+_proj\b"  # modules of a model
    r"|it is a folder of files \([\w ,.]+\)|\bthemes\b"
    r"|The loss was no number in round 2\. Lower the learning rate\."  # as an experiment's results keep it
)
_TITLES = sorted((guide_title(page) for page in UNDER if page.startswith("method-")), key=len, reverse=True)
_NOTES = " ".join(" ".join(example.text.split()) for example in examples())
_GUIDE = " ".join(" ".join(path.read_text("utf-8").split()) for path in resource("guide").glob("*.md"))
# Rows of an update by their names in the program, which are the same in every site's record.
_SCALARS = re.compile(
    r"((start|update) norm|notes|supervised tokens|steps|train loss|loss (before|after)|effective rank|seconds"
    rf"|scores (before|after), (any type|(strict|lenient), ({_TYPES}))|\d+ found, \d+ invented, \d+ missed)"
)


def _is_english(text: str) -> bool:
    if _SCALARS.fullmatch(text) or " ".join(text.split()) in _NOTES or text in _GUIDE:
        return False
    for title in _TITLES:
        text = text.replace(title, "")
    return re.search("[A-Za-z]{2}", _NAMES.sub("", text)) is not None


def left_in_english(front: QWidget) -> dict[str, str]:
    """Texts of a window or dialog, in the language of tests.parts.translations, that no translation was looked up for,
    each with the kind of widget that shows it.
    """
    left: dict[str, str] = {}
    of_guide = {label for results in front.findChildren(Results) for label in results.findChildren(QLabel)}
    for widget in {front, *front.findChildren(QWidget)} - of_guide:
        is_seen = widget is front or (widget.isVisible() and widget.window() is front)
        if is_seen and not isinstance(widget, MarkedText | QTextBrowser):  # a note and its words; a page of the guide
            left |= {text: type(widget).__name__ for text in _texts_of(widget) if _is_english(text)}
    return left


def _texts_of(widget: QWidget) -> Iterator[str]:
    yield from (widget.toolTip(), widget.accessibleName(), widget.accessibleDescription(), widget.windowTitle())
    match widget:
        case QLabel() | QAbstractButton():
            yield widget.text()
        case QComboBox():
            yield from (widget.itemText(at) for at in range(widget.count()))
        case QLineEdit() | QPlainTextEdit() | QTextEdit():
            yield widget.placeholderText()
        case QTableView() if model := widget.model():
            columns = [at for at in range(model.columnCount()) if not widget.isColumnHidden(at)]
            yield from (str(model.headerData(at, Qt.Orientation.Horizontal) or "") for at in columns)
            yield from (str(model.index(row, at).data() or "") for row in range(model.rowCount()) for at in columns)
