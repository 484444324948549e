# SPDX-License-Identifier: Apache-2.0
"""Small parts that pages are made of. They take values, say what was done by signals, and know no engine."""

from __future__ import annotations

from .buttons import Button, LinkButton, PrimaryButton, WaryButton
from .dialog import Dialog
from .facts import FigureCard, KeyValueRows, Pair
from .flow import Flow
from .icon import Icon
from .labels import Badge, Caption, ElidedLabel, Heading, Label, Overline, Sentence, StateLabel, Tag
from .layout import Bar, Card, Column, PageBase, Row, Spaced
from .navigation import NavigationBar, NavigationButton
from .notices import Banner, EmptyState, announce
from .stepper import Progress, Stepper, StepState
from .table import Table, TextTable

__all__ = [
    "Badge", "Banner", "Bar", "Button", "Caption", "Card", "Column", "Dialog", "ElidedLabel", "EmptyState",
    "FigureCard", "Flow", "Heading", "Icon", "KeyValueRows", "Label", "LinkButton", "NavigationBar",
    "NavigationButton", "Overline", "PageBase", "Pair", "PrimaryButton", "Progress", "Row", "Sentence", "Spaced",
    "StateLabel", "StepState", "Stepper", "Table", "Tag", "TextTable", "WaryButton", "announce",
]  # fmt: skip
