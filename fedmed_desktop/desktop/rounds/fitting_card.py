# SPDX-License-Identifier: Apache-2.0
"""Card that offers to fit the common model to this site's own notes, and says what came of it."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from ..look.runs import RunView
from ..widgets.helped import RunCard
from ..work.desk import Desk
from .fitting import about_fitting, fitting_for, fitting_view


class FittingCard(RunCard):
    """Hidden where there is nothing to fit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            self.tr("A model for your own notes"), parent, "fitted#a-model-for-your-own-notes",
            self.tr("Progress of the fitting"), self.tr("Shares that were compared"), self.tr("What was compared"),
        )  # fmt: skip
        self._seen: tuple[str, RunView | None, bool] | None = None

    def show_desk(self, desk: Desk) -> None:
        """Changes what is new, as often as it is called."""
        can = fitting_for(desk) is not None
        self.setVisible(can)
        now = about_fitting(desk), fitting_view(desk), desk.fits
        if can and now != self._seen:
            self._seen = now
            hint, view, runs = now
            self.hint.setText(hint)
            start = self.tr("Fit again") if view else self.tr("Fit it to our notes")
            self.show_view(view, runs=runs, start=start)
