# SPDX-License-Identifier: Apache-2.0
"""The decision on one update: reason and three buttons, then the countdown, then what has become of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...federation.work import Entry
from ...site import TAKE_BACK
from ..widgets import (
    Button,
    Caption,
    Card,
    Heading,
    Icon,
    Label,
    PrimaryButton,
    Progress,
    Row,
    Sentence,
    Spaced,
    WaryButton,
)
from ..widgets.labels import set_tone
from ..widgets.notices import announce
from . import decision as deciding
from .answers import FindingBox, SideBySide, UsualReasons
from .decision import Outcome
from .policy_panel import PolicyLine
from .sheet import Finding

MOST_REASON, MOST_NAME = 500, 60
ANNOUNCED_AT = (0, 5, 10)  # seconds left


class Message(Caption):
    """A sentence that keeps room for two lines: buttons below it stay where they are while it changes."""

    def __init__(self) -> None:
        super().__init__(wrap=True)

    def _room(self) -> int:
        return 2 * self.fontMetrics().lineSpacing()

    def heightForWidth(self, width: int) -> int:
        return max(super().heightForWidth(width), self._room())

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(QSize(0, self._room()))

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(QSize(0, self._room()))


class ReasonForm(Spaced):
    """Findings, reason, name, and the three buttons. Enter in a field does nothing, and Enter on Send does not send."""

    finding_seen = Signal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._lay(self._column, (0, 0, 0, 0), 10)
        self.findings: list[FindingBox] = []
        self.reason = QLineEdit()
        self.reason.setMaxLength(MOST_REASON)
        self.reason.setAccessibleName(self.tr("Reason"))
        label = Label(self.tr("&Reason (kept in this site's record, never sent)"))
        label.setBuddy(self.reason)
        self.name = QLineEdit()
        self.name.setMaxLength(MOST_NAME)
        self.name.setPlaceholderText(self.tr("Your name"))
        self.name.setAccessibleName(self.tr("Your name, as it should appear in this site's record"))
        self.policy = PolicyLine()
        self.message = Message()
        self.try_out = Button(self.tr("Try it on a note"))
        self.hold = Button(self.tr("Hold"))
        self.keep = Button(self.tr("Keep on site"))
        self.send = WaryButton(self.tr("Send adapter"))
        self.usual = UsualReasons(label)
        self.usual.chosen.connect(self._take_reason)
        words = Row(spacing=8)
        words.add(self.reason, 4, least=320)
        words.add(self.name, 1, least=150)
        for widget in (self.usual, words, self.policy, self._buttons()):
            self._column.addWidget(widget)

    def _buttons(self) -> Row:
        row = Row(spacing=12)
        row.add(self.try_out)
        row.add(self.message, 1)
        row.add(SideBySide(self.hold, self.keep, self.send))
        return row

    def show_findings(self, findings: Sequence[Finding], seen: set[str]) -> None:
        while len(self.findings) < len(findings):
            box = FindingBox()
            box.toggled.connect(self.finding_seen)
            self._column.insertWidget(len(self.findings), box)
            self.findings.append(box)
        for number, box in enumerate(self.findings):
            box.setVisible(number < len(findings))
            if number < len(findings):
                box.show_finding(findings[number], findings[number].code in seen)

    def enable(self, *, keep: bool, send: bool) -> None:
        """Moves the focus to Hold where a button that has it is disabled: Qt would give it to whatever comes next."""
        for button, is_enabled in ((self.keep, keep), (self.send, send)):
            if button.hasFocus() and not is_enabled:
                self.hold.setFocus(Qt.FocusReason.OtherFocusReason)
            button.setEnabled(is_enabled)

    @Slot(str)
    def _take_reason(self, reason: str) -> None:
        """Puts a reason in place of what was written, which Ctrl+Z brings back."""
        self.reason.selectAll()
        self.reason.insert(reason)
        self.reason.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_reason(self, reason: str) -> None:
        if self.reason.text() != reason:
            self.reason.setText(reason)

    def show_message(self, text: str, tone: str) -> None:
        self.message.set_tone(tone)
        if self.message.text() != text:
            self.message.setText(text)
            self.reason.setAccessibleDescription(text)
            self.name.setAccessibleDescription(text)
        empty = [field for field in (self.reason, self.name) if not field.text().strip() and not field.isHidden()]
        for field in (self.reason, self.name):
            set_tone(field, "fault", tone == "bad" and field is next(iter(empty), None))

    def show_name(self, name: str, *, asks: bool) -> None:
        """`asks` False: the account's name is what counts."""
        self.name.setVisible(asks)
        if self.name.text() != name:
            self.name.setText(name)


class Countdown(Spaced):
    """Ten seconds in which an approval can be taken back. Enter takes it back. Read out at 10, 5 and 0."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._announced: object = None
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 10)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(self.tr("Countdown"))
        self.headline = Heading(level=2)
        self.text = Sentence()
        self.bar = Progress(self.tr("Time left to take it back"))
        self.take_back = PrimaryButton(self.tr("Take back"))
        last = Row(spacing=12)
        last.add(self.text, 1)
        last.add(self.take_back)
        for widget in (self.headline, self.bar, last):
            column.addWidget(widget)

    def show_entry(
        self, entry: Entry, now: datetime, *, is_answering: bool, connected: bool, waits: tuple[str, str] | None = None
    ) -> None:
        """`waits`: headline and sentence where it does not leave once the time is over."""
        headline, text = waits or deciding.countdown(entry, now, connected=connected)
        left = deciding.seconds_left(entry, now)
        if (self.headline.text(), self.text.text()) != (headline, text):
            self.headline.setText(headline)
            self.text.setText(text)
        self._announce(entry, left)
        self.bar.set_share(left / TAKE_BACK.total_seconds())
        can_take_back = (left > 0 or waits is not None) and not is_answering
        if self.take_back.hasFocus() and not can_take_back:
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.take_back.setEnabled(can_take_back)

    def _announce(self, entry: Entry, left: float) -> None:
        """Announces the time left, but not each second: a screen reader would speak of nothing else."""
        told = (entry.sha256, entry.effective, next((mark for mark in ANNOUNCED_AT if left <= mark), None))
        if told == self._announced or told[2] is None:
            return
        if announce(self, f"{self.headline.text()}. {self.text.text()}"):
            self._announced = told


class OutcomeView(Spaced):
    """The outcome. Takes the focus where the button that had it is gone, so that it is read out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 10)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._icon = Icon("check", "ok", 20)
        self.headline = Heading(level=2)
        self.text = Sentence()
        self.bar = Progress(self.tr("Sent so far"))
        head = Row(self._icon, spacing=8)
        head.content.setStretch(0, 0)
        head.add(self.headline, 1)
        for widget in (head, self.bar, self.text):
            column.addWidget(widget)

    def show_outcome(self, outcome: Outcome) -> None:
        self._icon.show_icon(outcome.icon, outcome.tone)
        if (self.headline.text(), self.text.text()) != (outcome.headline, outcome.text):
            self.headline.setText(outcome.headline)
            self.text.setText(outcome.text)
            self.setAccessibleName(f"{outcome.headline}. {outcome.text}")
        self.bar.setVisible(outcome.share is not None)
        self.bar.set_share(outcome.share or 0.0)


class DecisionCard(Card):
    """One of three: the form, the countdown, the outcome."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (20, 16, 20, 16), 12)
        self.setAccessibleName(self.tr("Your decision"))
        self.form = ReasonForm()
        self.countdown = Countdown()
        self.outcome = OutcomeView()
        self._parts: tuple[QWidget, ...] = (self.form, self.countdown, self.outcome)
        for part in self._parts:
            self.add(part)
        self.show_part(self.form)

    def show_part(self, part: QWidget) -> None:
        """The focus moves on only where the button that had it is no longer there."""
        if not part.isHidden() and all(other.isHidden() for other in self._parts if other is not part):
            return
        had_focus = self.isAncestorOf(self.window().focusWidget()) if self.window().focusWidget() else False
        part.show()
        if had_focus:
            self._first_of(part).setFocus(Qt.FocusReason.OtherFocusReason)
        for other in self._parts:
            other.setVisible(other is part)

    def _first_of(self, part: QWidget) -> QWidget:
        """The widget that does nothing that could not be undone."""
        if part is self.form:
            return self.form.hold
        return self.countdown.take_back if part is self.countdown else self.outcome
