# SPDX-License-Identifier: Apache-2.0
"""Settings dialog: where the secret key lies, the proxy, and a look at the connection."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...federation import FederationSpec
from ...site.preflight import Asked, Sizes
from ...site.proxy import check_setting, hide_password, with_password
from ...site.reach import Target
from ...storage.secrets import where_kept
from ...wording import told, tr
from ...wording.findings import kept_line
from ..join.findings import FindingsCard
from ..look import theme
from ..look.fields import EMPTY
from ..widgets import Button, Card, Heading, PageBase, PrimaryButton, Sentence
from ..widgets.field import Field
from ..work.requests import JoinRequest
from ..work.verdicts import judged
from .settings import Settings

_SIZE = (620, 640)  # at text scale 1


class SettingsDialog(QDialog):
    """One per window, opened again and again on the settings, which it writes to; then says `changed`."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Settings"))
        self._values = Settings()
        self._sizes = Sizes()
        self.key = Sentence()
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
        self.findings = FindingsCard(
            self.tr("Check the connection"),
            self.tr("Looks at the way to the coordinator, and at disk, memory and secret key. Nothing is joined."),
        )
        self.findings.wanted.connect(self._check)
        self.proxy.touched.connect(self._weigh)
        self.password.touched.connect(self._weigh)
        self._arrange()

    def _arrange(self) -> None:
        page = self.page = PageBase()
        for title, widgets in (
            (self.tr("Secret key of this site"), (self.key,)),
            (self.tr("Connection"), (self.proxy, self.password)),
        ):
            card = Card()
            card.add(Heading(title, 2))
            for widget in widgets:
                card.add(widget)
            page.add(card)
        page.add(self.findings)
        page.finish()
        box = QDialogButtonBox()
        self.save, self.cancel = PrimaryButton(self.tr("Save")), Button(self.tr("Cancel"))
        box.addButton(self.save, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.cancel, QDialogButtonBox.ButtonRole.RejectRole)
        box.accepted.connect(self._save)
        box.rejected.connect(self.reject)
        self.finished.connect(self.findings.forget)
        column = QVBoxLayout(self)
        column.setContentsMargins(*[theme.gap(16)] * 4)
        column.addWidget(page, 1)
        column.addWidget(box)
        self.resize(*(min(theme.px(side), most) for side, most in zip(_SIZE, (1100, 700), strict=True)))

    def open_on(self, values: Settings, spec: FederationSpec | None = None) -> None:
        """`spec`: of the federation that this site takes part in now, whose folder nobody else can open meanwhile."""
        self._values = values
        self._sizes = Sizes.of(spec) if spec else Sizes()
        self.key.setText(_where_key_lies(values.joined))
        plain, password = hide_password(values.proxy)
        self.proxy.fill(plain)
        self.password.fill(password)
        self.findings.forget()
        self._weigh()
        self.open()

    def setting(self) -> str:
        """The proxy's setting in its one form. Raises UserFacingError."""
        return with_password(check_setting(self.proxy.text()), self.password.line.text())

    @Slot()
    def _weigh(self) -> None:
        verdict = judged(self.proxy.text(), check_setting)
        self.proxy.show_verdict(verdict if verdict.state == "wrong" else EMPTY)
        self.save.setEnabled(verdict.state == "right")

    @Slot()
    def _check(self) -> None:
        """By what is typed now, whether it was saved or not."""
        joined = self._values.joined
        if joined is None:
            self.findings.say(self.tr("This computer has not joined a federation yet. Join checks the connection too."))
        elif not self.save.isEnabled():
            self.proxy.line.setFocus()
        else:
            target = Target(joined.address, proxy=self.setting())
            self.findings.look(Asked(target, joined.model, joined.data_dir, sizes=self._sizes))

    @Slot()
    def _save(self) -> None:
        self._values.proxy = self.setting()
        self.changed.emit()
        self.accept()


def _where_key_lies(joined: JoinRequest | None) -> str:
    try:
        kept = where_kept(joined.data_dir, "site") if joined else None
    except UserFacingError as error:
        return told(error)
    return kept_line(kept) if kept else tr("There is none yet. It is made when this site joins a federation.")
