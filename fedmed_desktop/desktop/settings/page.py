# SPDX-License-Identifier: Apache-2.0
"""Settings: what can be chosen, and what is set for this computer otherwise, and what was connected."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...federation import FederationSpec
from ...site.preflight import Asked, Sizes
from ...site.reach import Target
from ...wording import told
from ..checks.findings import FindingsCard
from ..widgets import Banner, Button, Heading, PageBase, Row, Sentence
from ..widgets.layout import add_column
from ..work.desk import Desk
from ..work.settings import NotificationKind, Settings
from ..work.tasks import run_task
from . import files
from .around import BackgroundCard, NotificationsCard
from .cards import AppearanceCard, ComputerCard, ProxyCard, SettingsCard
from .files import Known
from .shown import ConnectionsCard, LicencesCard, PolicyCard
from .support_dialog import SupportDialog


class SettingsPage(PageBase):
    """Works on the settings that it was given, and says `changed` after each change of them."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values = Settings()
        self._spec: FederationSpec | None = None
        self.log_path = Path()
        self.dialog: SupportDialog | None = None
        self.banner = Banner()
        self.appearance, self.proxy = AppearanceCard(), ProxyCard()
        self.computer = ComputerCard(files.available_cores())
        self.notifications, self.background = NotificationsCard(), BackgroundCard()
        self.key = SettingsCard(self.tr("Secret key of this site"), self.tr("Looking…"))
        self.policy, self.connections, self.licences = PolicyCard(), ConnectionsCard(), LicencesCard()
        self.findings = FindingsCard(
            self.tr("Check the connection"),
            self.tr("Checks the connection to the coordinator, disk, memory and secret key. It joins nothing."),
        )
        self.support = SettingsCard(
            self.tr("Help from others"),
            self.tr(
                "A support bundle holds versions, settings and the end of the log, without notes, names of files or "
                "secrets. You see all of it before it is saved."
            ),
        )
        self.bundle = Button(self.tr("Support bundle…"))
        self.support.content.addWidget(self.bundle, 0, Qt.AlignmentFlag.AlignLeft)
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(Heading(self.tr("Settings")))
        text = self.tr("What you choose here is kept on this computer. It applies at once, unless it says otherwise.")
        head.addWidget(Sentence(text))
        self.column.content.addLayout(head)
        self.add(self.banner)
        sides = Row()
        add_column(sides, (self.appearance, self.notifications, self.proxy, self.findings, self.connections))
        add_column(sides, (self.computer, self.background, self.key, self.policy, self.support, self.licences))
        self.add(sides)
        self.finish()

    def _connect(self) -> None:
        self.appearance.language_chosen.connect(self._use_language)
        self.computer.chosen.connect(self._use_cores)
        self.notifications.silenced.connect(self._silence)
        self.background.closing_chosen.connect(self._close_so)
        self.background.awake_chosen.connect(self._keep_awake)
        self.proxy.changed.connect(self._use_proxy)
        self.proxy.proxy.touched.connect(self.findings.forget)
        self.findings.wanted.connect(self.check)
        self.bundle.clicked.connect(self.ask_bundle)
        self.banner.acted.connect(self._close_banner)

    # -- showing -------------------------------------------------------------------------------------------------------

    def show_values(self, values: Settings) -> None:
        """Shows these settings, and changes them from now on."""
        self._values = values
        self.appearance.show_values(values.appearance, values.text_scale)
        self.appearance.language.choose(values.language)
        self.computer.cores.choose(str(values.cores))
        self.notifications.show_values(values.silent)
        self.proxy.show_setting(values.proxy)
        self.connections.show_connections(values.connections)

    def show_desk(self, desk: Desk) -> None:
        """Ten times a second; `spec` is of the federation that this site takes part in now."""
        self._spec = None if desk.is_demo else desk.spec
        self.connections.show_connections(self._values.connections)
        self.background.show_values(self._values.when_closed, self._values.keep_awake)  # the window's question sets it
        self.background.show_awake(desk.awake)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()

    def look(self) -> None:
        """Looks up what lies in files."""
        run_task(self, partial(files.look, self._values.joined), self.show_known, self._failed)

    @Slot(object)
    def show_known(self, known: Known) -> None:
        self.key.say(known.key)
        self.policy.show_policy(known.policy, known.locked, known.policy_fault)
        self.licences.show_packages(known.packages)

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.banner.show_message(told(error), "bad", self.tr("Close"))

    @Slot()
    def _close_banner(self) -> None:
        self.banner.show_message("")

    # -- choosing ------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _use_language(self, language: Literal["system", "en", "de", "fr", "es"]) -> None:
        self._values.language = language
        self.changed.emit()

    @Slot(int)
    def _use_cores(self, cores: int) -> None:
        self._values.cores = cores
        self.changed.emit()

    @Slot(list)
    def _silence(self, kinds: list[NotificationKind]) -> None:
        self._values.silent = kinds
        self.changed.emit()

    @Slot(str)
    def _close_so(self, choice: Literal["ask", "stay", "quit"]) -> None:
        self._values.when_closed = choice
        self.changed.emit()

    @Slot(bool)
    def _keep_awake(self, keep: bool) -> None:
        self._values.keep_awake = keep
        self.changed.emit()

    @Slot(str)
    def _use_proxy(self, setting: str) -> None:
        if setting != self._values.proxy:
            self._values.proxy = setting
            self.changed.emit()

    @Slot()
    def check(self) -> None:
        """Checks the connection through the proxy that is typed now."""
        joined = self._values.joined
        if joined is None:
            self.findings.say(self.tr("This computer has not joined a federation yet. Join checks the connection too."))
        elif not self.proxy.is_right:
            self.proxy.proxy.line.setFocus()
        else:
            target = Target(joined.address, proxy=self.proxy.setting())
            sizes = Sizes.of(self._spec) if self._spec else Sizes()
            self.findings.look(Asked(target, joined.model, joined.data_dir, sizes=sizes))

    # -- the support bundle --------------------------------------------------------------------------------------------

    @Slot()
    def ask_bundle(self) -> None:
        """Gathers the support bundle's contents, and shows them."""
        self.bundle.setEnabled(False)
        values = self._values.model_copy(deep=True)
        run_task(self, partial(files.support_parts, values, self.log_path), self.show_bundle, self._bundle_failed)

    @Slot(object)
    def show_bundle(self, parts: dict[str, str]) -> None:
        self.bundle.setEnabled(True)
        self.dialog = SupportDialog(self, parts)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.named.connect(self._save_bundle)
        self.dialog.open()

    @Slot(object)
    def _bundle_failed(self, error: BaseException) -> None:
        self.bundle.setEnabled(True)
        self._failed(error)

    @Slot(object, str)
    def _save_bundle(self, parts: dict[str, str], path: str) -> None:
        run_task(self, partial(files.write_support, parts, Path(path)), self._saved, self._failed)

    @Slot(object)
    def _saved(self, path: Path) -> None:
        self.banner.show_message(self.tr("Saved as {path}.").format(path=path), "ok", self.tr("Close"))
