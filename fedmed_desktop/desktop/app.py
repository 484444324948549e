# SPDX-License-Identifier: Apache-2.0
"""The desktop's composition root: application, window, threads, and the one place that reaches training from here.
Torch is imported inside functions that the training thread calls, after the window has been painted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from PySide6.QtCore import QCoreApplication, QTimer
from PySide6.QtWidgets import QApplication

from .. import events
from ..clinical import read_notes_folder
from ..clinical.checking import Tokens
from ..demo.settings import DemoOptions
from ..errors import UserFacingError
from ..federation import Control
from ..federation.fitted import FittedSettings
from ..lora import Adapter
from ..lora.base_model import FileState, file_state, fingerprint
from ..protocol.invitation import read_invitation
from ..scores import TaskName
from ..site import Approver, Jobs, SiteAgent
from ..site.fitted import FINAL, common_adapter, keep_fitted
from ..site.policy_file import PolicyFiles, check_policy
from ..site.preflight import Asked, Gpu, Takes
from ..wording import tr
from ..wording.fitted import write_fitted_card
from ..wording.model_card import write_model_card
from .evaluating import Evaluating
from .folder import NAME, data_folder, give_names
from .frame.window import Window
from .interrupt import quit_on_interrupt
from .offscreen import Recorder
from .options import DesktopOptions
from .program import Program
from .reading import Able, read_sides
from .trial.choices import in_plain_words
from .trial.files import Loaded
from .widgets.spoken import install_roles
from .work.hosted import Inside
from .work.news import DemoScored, FittingShown
from .work.requests import EvaluationWanted, FittingWanted, JoinRequest, TrialRequest
from .work.sessions import Put

if TYPE_CHECKING:
    from ..demo.comparison import TestScores
    from ..demo.run import DemoResult
    from ..training.preparation import LoadedBase
    from .join.page import JoinPage
    from .notes.page import NotesPage
    from .settings.page import SettingsPage
    from .welcome.page import WelcomePage


class Workshop:
    """Implements sessions.Backend: agents, demonstrations and readings, on base models that are loaded once.

    One base model is kept: another one, or the same one with other files, takes its place. What a session still
    trains on lives as long as that does, and is shared meanwhile.
    """

    def __init__(self) -> None:
        self._base_in_use: LoadedBase | None = None
        self._bases: WeakValueDictionary[tuple[Path, FileState], LoadedBase] = WeakValueDictionary()
        self.result: DemoResult | None = None
        self.evaluating = Evaluating()

    def make_agent(
        self, request: JoinRequest, approver: Approver, jobs: Jobs, emit: Callable[[events.Event], None]
    ) -> SiteAgent:
        """Makes the agent from the notes and the model's files, on the training thread. Raises UserFacingError."""
        from ..training.device import available_cores, default_threads
        from ..training.model_folder import resolve_model
        from ..training.preparation import trainer_factory

        policy = PolicyFiles()
        check_policy(policy())
        model = resolve_model(str(request.model))
        notes = read_notes_folder(request.notes)
        threads = min(request.cores, available_cores()) or default_threads()
        base = self._base(model, threads)  # before the fingerprint: what is loaded is what was looked at
        return SiteAgent(
            name=request.name,
            address=request.address,
            data_dir=request.data_dir,
            base_fingerprint=fingerprint(model),
            make_trainer=trainer_factory(
                base,
                request.name,
                notes,
                request.notes,
                emit,
                types_file=request.types_map,
                probing=lambda: policy().probing,
            ),
            approver=approver,
            jobs=jobs,
            emit=emit,
            policy=policy,
            proxy=request.proxy,
            invitation=read_invitation(request.invitation) if request.invitation else None,
        )

    def export(self, agent: SiteAgent, request: JoinRequest, adapter: str) -> Path:
        """The federation's final adapter as a PEFT folder in the site's own folder, beside it this site's own model."""
        record = agent.record()
        written = agent.holdings.save_final(record, request.data_dir, str(request.model))
        for folder in written.values():
            write_model_card(folder, record, str(request.model))
        return written[FINAL]

    def weighed(self, asked: Asked) -> Asked:
        """The check's input, completed with the GPU that training would use and the memory that training takes.

        From any thread. Loads torch, and counts: seconds for both.
        """
        from ..training.device import gpu_memory
        from ..training.needs import counted
        from ..training.outline import refusal

        gpu = gpu_memory()
        sizes = asked.sizes
        found = counted(asked.model, sizes.batch, sizes.tokens, sizes.rank) if asked.model else None
        takes = Takes(*found) if found else None
        refused = refusal(asked.model) if asked.model and not takes else None
        return replace(asked, gpu=Gpu(*gpu) if gpu else None, takes=takes, refused=refused)

    def inside(self, model: Path) -> Inside:
        """Layers and prompting of a base model that a federation is founded on; from any thread. Loads torch: seconds.

        Raises UserFacingError.
        """
        from ..training.inside import look_inside

        return Inside(*look_inside(model))

    def tokens_of(self, model: Path) -> Tokens:
        """A counter of tokens by this base model's tokenizer; from any thread. Raises UserFacingError: it has none."""
        from ..training.token_count import token_counter

        return token_counter(model)

    def prepare_demo(self) -> None:
        """Loads what the demonstration needs, on the training thread: the import of torch takes seconds."""
        from ..demo import run

        del run

    async def run_demo(
        self,
        options: DemoOptions,
        approver: Approver,
        jobs: Jobs,
        emit: Callable[[events.Event], None],
        joined: Callable[[SiteAgent], None],
    ) -> DemoScored:
        from ..demo.run import run_demo
        from ..training.device import default_threads

        options = replace(options, threads=options.threads or default_threads())
        result = self.result = await run_demo(
            options, approver, emit, jobs=jobs, joined=joined, base=self._base(options.model, options.threads)
        )
        sites = [site.name for site in result.sites]
        models = {tr("Before the federation"): result.before}
        models |= {tr("{site} alone").format(site=name): scores for name, scores in sorted(result.alone.items())}
        models[tr("Federation")] = result.federation
        models |= {tr("Fitted to {site}").format(site=name): scores for name, scores in sorted(result.fitted.items())}
        rows = {
            task: {name: _row(scores, task, sites) for name, scores in models.items()}
            for task in result.federation.pooled.scored
        }
        notes = sum(len(site.notes.test or site.notes.validation) for site in result.sites)
        return DemoScored(rows, result.report, result.seconds, notes)

    def read(self, request: TrialRequest, put: Put, control: Control) -> None:
        """Reads a note on the training thread; stops between two tokens. Raises UserFacingError."""
        from ..training.asking import Sides, ask_note
        from ..training.model_folder import resolve_model
        from ..training.reading import NoteReader

        def sides(loaded: Loaded | None) -> Sides:
            if loaded is None:
                return Sides()
            base.get().lora.attach(loaded.adapter, loaded.frozen, loaded.personal)  # refused before anything is read
            return Sides(loaded.adapter, loaded.frozen, loaded.personal)

        try:
            base = self._base(resolve_model(str(request.model)))
            read_sides(Able(sides, NoteReader(base).read_beside, partial(ask_note, base)), request, put, control)
        except UserFacingError as error:
            plain = in_plain_words(error)
            raise plain from plain.__cause__

    def evaluate(self, wanted: EvaluationWanted, put: Put, control: Control) -> None:
        """Evaluates the wanted notes on the training thread. Raises Stopped, UserFacingError."""
        from ..evaluation import evaluate
        from ..training.model_folder import resolve_model

        base = self._base(resolve_model(str(wanted.model)))
        try:
            self.evaluating.run(lambda request, tell: evaluate(base, request, tell, control), wanted, put)
        except UserFacingError as error:
            plain = in_plain_words(error)
            raise plain from plain.__cause__

    def fit(self, wanted: FittingWanted, put: Put, control: Control) -> None:
        """Fits the common model to a site's notes on the training thread. Raises Stopped, UserFacingError."""
        from ..training.fitted import fit
        from ..training.model_folder import resolve_model
        from ..training.preparation import trainer_factory

        put(FittingShown("loading"))
        model, spec = resolve_model(str(wanted.model)), wanted.spec
        common, notes = common_adapter(wanted.common, spec, model), read_notes_folder(wanted.notes)
        base = self._base(model)
        trainer = trainer_factory(base, wanted.site, notes, wanted.notes, types_file=wanted.types_map)(spec)
        settings = FittedSettings()
        found = fit(
            trainer, spec, common, settings, lambda one: put(FittingShown(one.part, one.done, one.total)), control
        )
        outcome = found.outcome(len(notes.validation))
        keep_fitted(wanted.folder, found.adapter, outcome, str(wanted.model))
        write_fitted_card(wanted.folder, spec, outcome, str(wanted.model))
        put(FittingShown("done", outcome=outcome))

    def merge(self, model: str, adapter: Adapter, folder: Path) -> None:
        """Writes the model with the adapter merged into it, from any thread; loads torch, and takes as long as the
        model is large. Raises UserFacingError.
        """
        from ..training.merging import write_merged

        write_merged(model, adapter, folder)

    def _base(self, model: Path, threads: int | None = None) -> LoadedBase:
        """`threads`: None leaves a model that is loaded already as it is. Raises UserFacingError: no model folder."""
        from ..training.preparation import LoadedBase

        state = file_state(model)
        base = self._bases.get((model.resolve(), state))
        if base is None:
            self._base_in_use = None  # its memory is free before the other one takes its own
            base = self._bases[model.resolve(), state] = LoadedBase(model, threads=threads, state=state)
        elif threads is not None:
            base.use_threads(threads)
        self._base_in_use = base
        return base


def _row(scores: TestScores, task: TaskName, sites: list[str]) -> dict[str, float]:
    """A site that has no labels of the task is left out."""
    known = [(site, scores.by_site[site]) for site in sites if site in scores.by_site]
    own = {site: found[task].headline for site, found in known if task in found.tasks}
    return {tr("All sites"): scores.pooled[task].headline, **own}


def application() -> QApplication:
    """The one QApplication, with the names by which the system finds its folders."""
    app = QCoreApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
    install_roles()
    give_names()
    app.setApplicationDisplayName(NAME)
    app.setQuitOnLastWindowClosed(False)  # the program ends when its threads have, not before
    return app


def open_window(options: DesktopOptions) -> tuple[QApplication, Program]:
    """The program with its window shown; threads begin their work once the event loop runs."""
    app = application()
    workshop = Workshop()
    program = Program(app, workshop, data_folder(options))
    lend(workshop, program.window)
    program.reading.merge = workshop.merge
    program.show()
    return app, program


def lend(workshop: Workshop, window: Window) -> None:
    """Gives the pages what they ask of the workshop, each when it is made."""

    def to_join(page: JoinPage) -> None:
        page.findings.ask_torch, page.report.tokens_of = workshop.weighed, workshop.tokens_of

    def to_welcome(page: WelcomePage) -> None:
        page.ask_torch, page.notes.report.tokens_of = workshop.weighed, workshop.tokens_of

    def to_notes(page: NotesPage) -> None:
        page.report.tokens_of, page.evaluation.save = workshop.tokens_of, workshop.evaluating.save

    def to_settings(page: SettingsPage) -> None:
        page.findings.ask_torch = workshop.weighed

    window.pages.join.then(to_join)
    window.pages.welcome.then(to_welcome)
    window.pages.notes.then(to_notes)
    window.pages.settings.then(to_settings)
    window.hosts.look_inside = workshop.inside


def run(options: DesktopOptions) -> int:
    """Opens the desktop and returns once it was closed and everything that ran has ended."""
    app, program = open_window(options)
    QTimer.singleShot(0, program.begin)
    program.set_wishes(options.join, options.try_model, options.try_adapter)
    with quit_on_interrupt(program.close):
        return app.exec()


def run_demo(
    options: DemoOptions, *, offscreen: bool, watch: Callable[[events.Event], None] = lambda event: None
) -> tuple[int, DemoResult | None]:
    """Opens the desktop on a demonstration. Offscreen, the demo's rule decides, and the program ends with it. Returns
    the exit status, and the outcome where there is one. `watch` is told each event, from several threads.
    """
    app = application()
    workshop = Workshop()
    program = Program(app, workshop, data_folder(DesktopOptions()), keep_settings=not offscreen, watch=watch)
    recorder = Recorder(program, options.report) if offscreen else None
    program.show()
    program.demo_options = options
    QTimer.singleShot(0, program.begin)
    QTimer.singleShot(0, program.start_demo)
    with quit_on_interrupt(program.close):
        status = app.exec()
    if recorder and recorder.problem:
        raise recorder.problem
    return status, workshop.result
