# SPDX-License-Identifier: Apache-2.0
"""Small parts that pages are made of. They take values, say what was done by signals, and know no engine."""

from __future__ import annotations

from fedmed_desktop.desktop.widgets.buttons import Button, LinkButton, PrimaryButton, WaryButton
from fedmed_desktop.desktop.widgets.facts import KeyValueRows, Pair
from fedmed_desktop.desktop.widgets.flow import Flow
from fedmed_desktop.desktop.widgets.icon import Icon
from fedmed_desktop.desktop.widgets.labels import (
    Badge,
    Caption,
    ElidedLabel,
    Heading,
    Label,
    Overline,
    Sentence,
    StateLabel,
    Tag,
)
from fedmed_desktop.desktop.widgets.layout import Bar, Card, Column, PageBase, Row, Spaced
from fedmed_desktop.desktop.widgets.navigation import NavigationBar, NavigationButton
from fedmed_desktop.desktop.widgets.notices import Banner, EmptyState
from fedmed_desktop.desktop.widgets.progress import Progress
from fedmed_desktop.desktop.widgets.stepper import Stepper, StepState
from fedmed_desktop.desktop.widgets.table import Table

__all__ = [
    "Badge",
    "Banner",
    "Bar",
    "Button",
    "Caption",
    "Card",
    "Column",
    "ElidedLabel",
    "EmptyState",
    "Flow",
    "Heading",
    "Icon",
    "KeyValueRows",
    "Label",
    "LinkButton",
    "NavigationBar",
    "NavigationButton",
    "Overline",
    "PageBase",
    "Pair",
    "PrimaryButton",
    "Progress",
    "Row",
    "Sentence",
    "Spaced",
    "StateLabel",
    "StepState",
    "Stepper",
    "Table",
    "Tag",
    "WaryButton",
]
