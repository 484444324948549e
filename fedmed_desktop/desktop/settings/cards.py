# SPDX-License-Identifier: Apache-2.0
"""Cards of the Settings page that hold choices: appearance, this computer, the proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...site.proxy import check_setting, hide_password, with_password
from ...wording import tr, written
from ...wording.catalogue import LANGUAGES, languages
from ..look.fields import EMPTY, Choice
from ..look.language import SYSTEM, language_for
from ..look.theme import CHOICES
from ..widgets import Caption, Card, Heading, Label, Sentence, Spaced
from ..widgets.field import ChoiceBox, Field
from ..widgets.labels import Weight
from ..work.verdicts import judged

SCALES: Final = (1.0, 1.25, 1.5, 1.75, 2.0)


class SettingsCard(Card):
    """A heading, what follows from it in a sentence, and what else is added."""

    def __init__(self, title: str, sentence: str = "", parent: QWidget | None = None) -> None:
        super().__init__(least=300, parent=parent)
        self.setAccessibleName(title)
        self.add(Heading(title, 2))
        self.sentence = Sentence(sentence)
        self.add(self.sentence)
        self.sentence.setVisible(bool(sentence))

    def say(self, words: str, tone: str = "dim") -> None:
        self.sentence.setText(words)
        self.sentence.set_tone(tone)
        self.sentence.setVisible(bool(words))

    def add_choice(self, name: str, choices: Sequence[Choice], default: str) -> ChoiceBox:
        label, box = Label(name, weight=Weight.Medium), ChoiceBox(name)
        label.setBuddy(box)
        box.show_choices(choices, default)
        self.add(_together(label, box))
        return box


def _together(*parts: QWidget) -> Spaced:
    """One below the other as closely as the parts of a Field."""
    whole = Spaced()
    column = QVBoxLayout(whole)
    whole._lay(column, (0, 0, 0, 0), 4)
    for part in parts:
        column.addWidget(part)
    return whole


class AppearanceCard(SettingsCard):
    """Counts at once, but for the language. The size of text can be one between those offered, by Ctrl and + or -."""

    appearance_chosen = Signal(str)
    language_chosen = Signal(str)
    scale_chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Appearance"), parent=parent)
        words = {
            "system": self.tr("As the system"),
            "light": self.tr("Light"),
            "dark": self.tr("Dark"),
            "contrast": self.tr("High contrast"),
        }
        self.appearance = self.add_choice(self.tr("Colours"), [Choice(c, words[c]) for c in CHOICES], "system")
        self.scale = self.add_choice(self.tr("Size of text"), self._scales(1.0), "1.0")
        self.add(Caption(self.tr("Larger and smaller by Ctrl and +, Ctrl and -."), wrap=True))
        self.language = self.add_choice(self.tr("Language"), self._languages(), SYSTEM)
        self.add(Caption(self.tr("Another language applies from the next start of the program."), wrap=True))
        self.appearance.chosen.connect(self._choose)
        self.language.chosen.connect(self._speak)
        self.scale.chosen.connect(self._scale)

    def show_values(self, appearance: str, scale: float) -> None:
        self.appearance.choose(appearance)
        self.scale.show_choices(self._scales(scale), str(scale))
        self.scale.choose(str(scale))

    def _scales(self, present: float) -> list[Choice]:
        return [Choice(str(scale), written(scale, ".0%")) for scale in sorted({*SCALES, present})]

    @Slot()
    def _choose(self) -> None:
        self.appearance_chosen.emit(self.appearance.key())

    def _languages(self) -> list[Choice]:
        system = "{} ({})".format(self.tr("As the system"), LANGUAGES[language_for(SYSTEM)])
        return [Choice(SYSTEM, system), *(Choice(one, LANGUAGES[one]) for one in languages())]

    @Slot()
    def _speak(self) -> None:
        self.language_chosen.emit(self.language.key())

    @Slot()
    def _scale(self) -> None:
        self.scale_chosen.emit(float(self.scale.key()))


class ComputerCard(SettingsCard):
    """Cores that training may use; it counts from the next time that the site is opened."""

    chosen = Signal(int)

    def __init__(self, cores: int, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("This computer"),
            tr(
                "Training on the processor takes all cores but one, so that the computer stays usable for other "
                "work. Where a GPU's memory is too small, training continues by itself with less at once."
            ),
            parent,
        )  # fmt: skip
        choices = [Choice("0", tr("All but one"))]
        choices += [Choice(str(number), tr("%n core(s)", "", number)) for number in range(1, cores + 1)]
        self.cores = self.add_choice(self.tr("Cores for training"), choices, "0")
        self.add(Caption(self.tr("Applies from the next start of the program. Hours in which something may leave, and "
                                 "the rank, are limited by the policy below."), wrap=True))  # fmt: skip
        self.cores.chosen.connect(self._choose)

    @Slot()
    def _choose(self) -> None:
        self.chosen.emit(int(self.cores.key()))


class ProxyCard(SettingsCard):
    """Says `changed` once the typing has paused and what was typed is right; `setting` is its one form."""

    changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Connection"), parent=parent)
        self.proxy = Field(
            self.tr("Proxy"),
            self.tr("“system”: as this computer's settings say. “none”: no proxy. Or the address of a proxy."),
            "http://proxy.example.org:3128",
        )
        self.password = Field(
            self.tr("Password for the proxy"),
            self.tr(
                "Only if the proxy wants one; the name is in its address. It is kept in this program's settings file, "
                "which only your account can read, but which is not encrypted."
            ),
        )
        self.password.line.setEchoMode(QLineEdit.EchoMode.Password)
        for field in (self.proxy, self.password):
            self.add(field)
            field.touched.connect(self._weigh)
            field.edited.connect(self._tell)
        text = self.tr("The check below uses the proxy at once; taking part does from the next start of the program.")
        self.add(Caption(text, wrap=True))

    def show_setting(self, setting: str) -> None:
        plain, password = hide_password(setting)
        self.proxy.fill(plain)
        self.password.fill(password)
        self._weigh()

    @property
    def is_right(self) -> bool:
        return judged(self.proxy.text(), check_setting).state == "right"

    def setting(self) -> str:
        """The proxy's setting in its one form. Raises UserFacingError."""
        return with_password(check_setting(self.proxy.text()), self.password.line.text())

    @Slot()
    def _weigh(self) -> None:
        verdict = judged(self.proxy.text(), check_setting)
        self.proxy.show_verdict(verdict if verdict.state == "wrong" else EMPTY)

    @Slot()
    def _tell(self) -> None:
        if self.is_right:
            self.changed.emit(self.setting())
