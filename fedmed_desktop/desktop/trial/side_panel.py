# SPDX-License-Identifier: Apache-2.0
"""One side of Try it: which model reads, how far it is, the note with what it found, and what the other side lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from ...clinical import Reading, Span
from ...clinical.negation import is_negated
from ...clinical.tasks import Link
from ...wording import tr
from ..look.entities import in_words, links_in_words
from ..look.fields import Choice
from ..widgets import Button, Caption, Card, Label, Progress, Row, Sentence, StateLabel
from ..widgets.buttons import HelpLink
from ..widgets.field import ChoiceBox
from ..widgets.labels import Weight
from .answer_panel import AnswerPanel
from .answers import AnswerView
from .copied_text import CopiedText
from .reading_state import Shown, numbers
from .unmatched import MARKS, WORDS, Difference, marked_type, told


class ComparedText(CopiedText):
    """The note with entities, and a mark behind the type of each that the other side lacks."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(name, grows=True, parent=parent)
        self._found: tuple[Span, ...] = ()
        self._lacked: dict[Span, Difference] = {}
        self._negated: frozenset[Span] = frozenset()
        self._off: frozenset[str] = frozenset()
        self._note = ""
        self._links: tuple[Link, ...] = ()

    def show_found(self, text: str, spans: Sequence[Span], lacked: Mapping[Span, Difference]) -> None:
        self._note, self._found, self._lacked = text, tuple(spans), dict(lacked)
        self._negated = frozenset(span for span in spans if is_negated(text, span))
        self.show_text(text, [span._replace(type=self._word(span)) for span in spans])
        self._describe()

    def _word(self, span: Span) -> str:
        return marked_type(span.type, self._lacked.get(span), is_negated=span in self._negated)

    def show_modifiers(self, links: Sequence[Link]) -> None:
        """Lines from modifiers to their mentions."""
        if self._links != tuple(links):
            self._links = tuple(links)
            self.show_links(self._links)
        self._describe()

    @Slot(object)
    def choose_link(self, chosen: Link | None) -> None:
        self.show_links(self._links, chosen)

    def color_types(self, tokens: Mapping[str, str]) -> None:
        """Type -> token of its colour; a difference does not change it."""
        self.set_colors(_with_marks(tokens))

    @Slot(object)
    def hide_types(self, types: Collection[str]) -> None:
        self._off = frozenset(types)
        self.set_hidden(_with_marks(dict.fromkeys(types, "")).keys())
        self._describe()

    def _describe(self) -> None:
        """Describes the text for those who do not see the marks."""

        def words(span: Span) -> Span:
            difference = self._lacked.get(span)
            said = [span.type, tr("the note denies it") if span in self._negated else ""]
            said.append(tr(WORDS[difference]) if difference else "")
            return span._replace(type=", ".join(filter(None, said)))

        found = in_words(self._note, [words(s) for s in self._found if s.type not in self._off])
        links = [link for link in self._links if not {link.head.type, link.tail.type} & self._off]
        self.setAccessibleDescription(". ".join(part for part in (found, links_in_words(self._note, links)) if part))


class SideCard(Card):
    """`chosen`: the person has chosen another model. `name` is what a screen reader calls this side. `choose`, where it
    is shown, stands below the words of an empty side; what comes of it is said below it.
    """

    chosen = Signal()

    def __init__(self, name: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._hint = hint
        self.setAccessibleName(name)
        self.box = ChoiceBox(self.tr("{side}: read with").format(side=name))
        self.box.chosen.connect(self.chosen)
        self.is_choosable = True
        self.alias = Label(weight=Weight.Medium)
        self.alias.hide()
        self.state = StateLabel()
        self.progress = Progress(self.tr("{side}: part of the note that is read").format(side=name))
        self.text = ComparedText(self.tr("{side}: what was found").format(side=name))
        self.answer = AnswerPanel()
        self.answer.link_chosen.connect(self.text.choose_link)
        self.sentence = Sentence()
        self.choose = Button(self.tr("Choose adapter…"), "folder")
        self.choose.hide()
        self.fault = Sentence(tone="bad")
        self.fault.hide()
        self.differs = Sentence(tone="ink")
        self.numbers = Caption(wrap=True)
        self._head = Row(spacing=12)
        self._head.add(self.box, 1)
        self._head.add(self.alias, 1)
        self._head.add(self.state, 1)
        for widget in (self._head, self.progress, self.text, self.answer, self.sentence, self.differs):
            self.add(widget)
        self.help = HelpLink(self.tr("What these numbers mean"), "try-it#what-you-see")
        self._last = Row(spacing=8)
        self._last.add(self.numbers, 1)
        self._last.add(self.help)
        self.add(self._last)
        offer = Row(spacing=8)
        offer.add(self.choose)
        offer.content.addStretch(1)
        self.add(offer)
        self.add(self.fault)
        self.content.addStretch(1)
        self.show_hint()

    def kept(self, found: list[Choice], is_shown: bool) -> list[Choice]:
        """The choices; one that has gone (the adapter that waited was sent) stays while its result is shown."""
        now = self.box.choice()
        if is_shown and now and all(choice.key != now.key for choice in found):
            return [*found, now]
        return found

    def _show_numbers(self, text: str) -> None:
        _set(self.numbers, text)
        self._last.setVisible(bool(text))

    def set_choosable(self, is_choosable: bool) -> None:
        """Sets whether there is anything to choose: without an adapter the base would stand beside itself."""
        self.is_choosable = is_choosable
        self._show_name()

    def show_alias(self, name: str) -> None:
        """Another name in the place of the model's, which nobody may see yet; "" shows the model's again."""
        self.alias.setText(name)
        self._show_name()

    def _show_name(self) -> None:
        is_hidden_name = bool(self.alias.text())
        self.alias.setVisible(is_hidden_name)
        self.box.setVisible(self.is_choosable and not is_hidden_name)
        self._head.setVisible(self.is_choosable or is_hidden_name or not self.state.isHidden())

    def show_offer(self, is_offered: bool, fault: str = "") -> None:
        """Shows whether an adapter can be chosen from here, and what was wrong with the one that was."""
        self.choose.setVisible(is_offered)
        self.fault.setText(fault)
        self.fault.setVisible(is_offered and bool(fault))
        self.choose.setAccessibleDescription(fault)

    def show_hint(self, hint: str = "") -> None:
        """Nothing is read yet."""
        self._show_state(None)
        self.text.hide()
        self.answer.show_answer(None)
        self._say(hint or self._hint)
        _set(self.differs, "")
        self._show_numbers("")

    def show_unread(self, text: str) -> None:
        """The note was read, but not with what is chosen now."""
        self._show_state(None)
        self.answer.show_answer(None)
        self._show_text(text, (), {})
        self.text.show_modifiers(())
        self._say(self.tr("The note has not been read with this one yet."))
        self._show_numbers("")

    def show_run(
        self,
        text: str,
        shown: Shown,
        reading: Reading | None,
        lacked: Mapping[Span, Difference],
        answer: AnswerView | None = None,
        *,
        marks: bool = True,
    ) -> None:
        """`marks`: the answer is marks in the text, not only the words of `answer`."""
        self._show_state(shown)
        self._show_text(text, reading.spans if reading else (), lacked)
        self.text.setVisible(marks)
        self.text.show_modifiers([row.link for row in answer.links] if answer else ())
        self.answer.show_answer(answer)
        self._say(shown.text)
        self.sentence.set_tone("ink" if shown.tone == "bad" else "dim")
        self._show_numbers(numbers(reading))

    def _show_text(self, text: str, spans: Sequence[Span], lacked: Mapping[Span, Difference]) -> None:
        self.text.show_found(text, spans, lacked)
        self.text.show()
        _set(self.differs, "\n".join(told(text, lacked)))

    def _show_state(self, shown: Shown | None) -> None:
        self.state.setVisible(shown is not None)
        self._head.setVisible(shown is not None or self.is_choosable)
        self.progress.setVisible(shown is not None and shown.share is not None)
        if shown is not None:
            self.state.show_state(shown.word, shown.tone, shown.icon)
            if shown.share is not None:
                self.progress.set_share(shown.share)

    def _say(self, sentence: str) -> None:
        _set(self.sentence, sentence)


def _with_marks(tokens: Mapping[str, str]) -> dict[str, str]:
    differences: Iterable[Difference | None] = (None, *MARKS)
    return {
        marked_type(kind, difference, is_negated=denied): token
        for difference in differences
        for denied in (False, True)
        for kind, token in tokens.items()
    }


def _set(label: Sentence | Caption, text: str) -> None:
    if label.text() != text:
        label.setText(text)
    label.setVisible(bool(text))
