# SPDX-License-Identifier: Apache-2.0
"""The join form, the Monitor, Try it, and the windows that stand over the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PySide6.QtWidgets import QDialog

from fedmed_desktop.clinical import Reading, Span, examples
from fedmed_desktop.desktop.experiment.comparison import Experiment
from fedmed_desktop.desktop.experiment.files import open_experiment
from fedmed_desktop.desktop.frame.dialogs import FaultDialog
from fedmed_desktop.desktop.frame.questions import about_beginning, about_closing
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.guide.window import GuideDialog
from fedmed_desktop.desktop.join.files import look_at_notes
from fedmed_desktop.desktop.join.form import FieldName, look_at_address, look_at_name
from fedmed_desktop.desktop.look.fields import EMPTY, Verdict
from fedmed_desktop.desktop.notes.files import Progress, Wish, look_through
from fedmed_desktop.desktop.rounds.demonstration import DemonstrationDialog
from fedmed_desktop.desktop.widgets.question import Question
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.files import look_at_model
from fedmed_desktop.desktop.work.news import FittingShown, Load, Problem, ReadingShown, Side
from fedmed_desktop.errors import Size
from fedmed_desktop.federation.methods import AdaptiveFedLora
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.resources import resource
from fedmed_desktop.site.findings import Finding
from fedmed_desktop.storage.secrets import Kept
from fedmed_desktop.wording import sentence
from tests.parts.results import write_experiment
from tests.parts.scene import ADDRESS, NOW, Lakeview, course, evaluated, phase, several_tasks, standing, steps
from tests.ui.scenes import Scene, once, settle
from tests.ui.scenes_of_rounds import fitting, nobody, told, training
from tests.ui.scenes_of_tasks import of_other_tasks

Act = Callable[[Window, Desk], QDialog | None]

INVITED = Invitation("federation.example.org:8765", "3f9a20c1e6889d4e" * 4, bytes(range(16)), "Lakeview").line()
KEPT = Kept("file", "/srv/lakeview/fedmed-desktop/sites/lakeview/identity.key", "secret.why.locked")
FOUND = (
    Finding("address", "ok", "check.address", {"address": "federation.example.org:8765"}),
    Finding("proxy", "ok", "check.proxy_given", {"proxy": "http://proxy.lakeview.example:3128"}),
    Finding("encryption", "ok", "check.encrypted", {"version": "TLS 1.3"}),
    Finding("clock", "warning", "check.clock_behind", {"minutes": 7}),
    Finding(
        "memory",
        "wrong",
        "check.memory_too_small",
        {"least": Size(36_100_000_000), "total": Size(16_500_000_000), "batch": 4, "tokens": 800, "rank": 16},
        "check.sizes_guessed",
    ),
    Finding("key", "ok", KEPT.code, {"detail": KEPT.detail}, KEPT.reason),
)

# -- join --------------------------------------------------------------------------------------------------------------


def _fill(
    address: str, name: str, model: str, notes: str, types_map: str = "", *, invitation: str = "", found: bool = False
) -> Act:
    """The form as it is once every field was looked at; the looks are real, but here and now."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        if invitation:
            window.join.where.give(invitation)
        else:
            window.join.where.turn.click()
        look = once(lambda: look_at_notes(notes, types_map), "folder of the form", notes, types_map)
        typed: dict[FieldName, tuple[str, Verdict]] = {
            "address": (address, look_at_address(address)),
            "name": (name, look_at_name(name)),
            "model": (model, look_at_model(model)),
            "notes": (notes, look.folder_verdict),
            "types_map": (types_map, look.map_verdict),
        }
        for field, (text, verdict) in typed.items():
            if not text and verdict == EMPTY:
                continue
            window.join.fields[field].fill(text)
            window.join.fields[field].show_verdict(verdict)
        window.join.preview.show_preview(look.preview)
        if look.folder_verdict.state == "right":
            looked = once(lambda: look_through(Wish(notes), Progress()), "notes of the form", notes)
            window.join.report.show_found(looked)
        window.join.fields["name"].touched.emit()
        if found:
            window.join.findings.show_findings(FOUND)
        return None

    return act


def join() -> list[Scene]:
    # Relative, so that pictures show no path of the computer that they were made on.
    model, notes = (_near(resource(name)) for name in ("demo_model", "demo_notes"))
    wrong = _fill("ws://example.org:8765", "-", str(notes), str(model), str(model / "config.json"))
    right = str(model), str(notes / "Lakeview")
    return [
        Scene("join", "empty", nobody),
        Scene("join", "mistyped", nobody, _fill("", "", "", "", invitation=INVITED[:-3])),
        Scene("join", "invited", nobody, _fill("", "", *right, invitation=INVITED)),
        Scene("join", "checked", nobody, _fill("", "", *right, invitation=INVITED, found=True)),
        Scene("join", "wrong", nobody, wrong),
        Scene("join", "right", nobody, _fill(ADDRESS, "Lakeview", *right)),
    ]


def _near(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


# -- monitor -----------------------------------------------------------------------------------------------------------


def _live(folder: Path) -> Desk:
    """A round that trains, on a computer without a GPU: words of two lines below the memory."""
    return told(phase("training"), *course(), Load("processor", 0.99, 13_100_000_000, 25_300_000_000))(folder)


def _several(folder: Path) -> Desk:
    """Four tasks, each scored by its own measures; an update waits."""
    with several_tasks():
        site = Lakeview(folder)
        site.tell(*course(), evaluated(3, "after"))
        site.trained()
    return site.close()


def counting(folder: Path) -> Desk:
    """A federation whose sites share what their notes are about; the method changes ranks."""
    site = Lakeview(folder, method=AdaptiveFedLora(), histogram="specialties")
    told = standing()
    first, second, *rest = told.history
    first = first.model_copy(update={"rank": 8, "combined_drift": 0.67})
    ranked = (first, second.model_copy(update={"combined_drift": 0.51}), *rest)
    site.tell(phase("training"), *course(), told.model_copy(update={"history": ranked}))
    return site.close()


def _pointed(window: Window, desk: Desk) -> QDialog | None:
    """Scrolled to the map of layers; a cell of it is read."""
    del desk
    window.monitor.layers.view.point_at(2.0, 21.0)
    window.monitor.ensureWidgetVisible(window.monitor.layers)
    return None


def _layers_table(window: Window, desk: Desk) -> QDialog | None:
    window.monitor.layers.as_table.click()
    return _pointed(window, desk)


def _table(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.monitor.restore({"table": True})
    return None


def _log(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.monitor.restore({"log": True})
    return None


def _written_and_read(**more: object) -> Experiment:
    with TemporaryDirectory() as folder:
        return open_experiment(write_experiment(Path(folder), **more))  # type: ignore[arg-type]


def _experiment(*, chosen: int | None = None, **more: object) -> Act:
    """What was opened, and perhaps a method that was chosen in it."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        found = once(lambda: _written_and_read(**more), "experiment", repr(more))
        window.experiment.show_experiment(found)
        window.experiment.opened.emit()
        if chosen is not None:
            window.experiment.table.selectRow(chosen)
        return None

    return act


def monitor() -> list[Scene]:
    return [
        Scene("monitor", "not-joined", nobody),
        Scene("monitor", "waiting", told(phase("downloading", 1), standing(number=1), earlier=0)),
        Scene("monitor", "first-steps", told(phase("training", 1), standing(number=1), *steps(1, last=24), earlier=0)),
        Scene("monitor", "live", _live),
        Scene("monitor", "semantic", counting),
        Scene("monitor", "several-tasks", _several),
        Scene("rounds", "several-tasks", _several),
        Scene("approvals", "several-tasks", _several),
        Scene("monitor", "layers", counting, _pointed),
        Scene("monitor", "layers-table", counting, _layers_table),
        Scene("monitor", "log", _live, _log),
        Scene("monitor", "table", _live, _table),
        Scene("monitor", "approval-waits", _waits),
        Scene("monitor", "experiment", _live, _experiment()),
        Scene("monitor", "experiment-chosen", _live, _experiment(chosen=5, tasks=("entities", "relations"))),
        Scene(
            "monitor", "experiment-lacks", nobody, _experiment(seeds=1, sites=(3,), failed=2, missing=4, scored=False)
        ),
        Scene("monitor", "experiment-empty", nobody, _experiment(sites=(), missing=4)),
    ]


# -- try it ------------------------------------------------------------------------------------------------------------

NOTE = examples()[2].text


def _spans(**found: str) -> tuple[Span, ...]:
    """Where these words stand first; words of one type are parted by "|"."""
    spans = []
    for kind, listed in found.items():
        for words in listed.split("|"):
            start = NOTE.index(words)
            spans.append(Span(start, start + len(words), kind))
    return tuple(sorted(spans))


BASE = _spans(drug="lithium|hydrochlorothiazide", problem="tremor|confusion|Lithium toxicity", test="hypertension")
ADAPTED = _spans(
    drug="lithium|hydrochlorothiazide", test="serum level|renal function|lithium level",
    problem="bipolar disorder|tremor|ataxia|confusion|hypertension|Lithium toxicity",
)  # fmt: skip


def _read(spans: tuple[Span, ...], share: float = 1.0) -> Reading:
    upto = round(share * len(NOTE))
    found = tuple(span for span in spans if span.end <= upto)
    state = "finished" if share == 1.0 else "reading"
    return Reading(len(NOTE), found, upto, round(4 * share), 5, round(212 * share), 4.6 * share, 0.4, False, state)


def _asks(*then: ReadingShown) -> Act:
    """Presses Read on the example; then what the training thread tells."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        window.trial.note.set_text(NOTE)
        window.trial.beside.setChecked(any(shown.side == "left" for shown in then))
        window.trial.head.read.click()
        desk.fold(then)
        return None

    return act


def _shown(side: Side, state: str, reading: Reading | None = None) -> ReadingShown:
    return ReadingShown(side, state, reading)  # type: ignore[arg-type]


def _typed(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.trial.note.set_text(NOTE)
    return None


def _nothing_typed(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.trial.head.read.click()
    return None


def trial() -> list[Scene]:
    left = _shown("left", "done", _read(BASE))
    memory = ReadingShown("right", "failed", sentence=sentence("training.out_of_memory", {"device": "GPU"}))
    idle = told(phase("sent"))
    acts: dict[str, tuple[Callable[[Path], Desk], Act | None]] = {
        "not-joined": (nobody, None),
        "empty": (idle, None),
        "typed": (idle, _typed),
        "nothing-typed": (nobody, _nothing_typed),
        "waiting": (training, _asks()),
        "loading": (idle, _asks(_shown("left", "loading"))),
        "reading": (idle, _asks(left, _shown("right", "reading", _read(ADAPTED, 0.6)))),
        "done": (idle, _asks(left, _shown("right", "done", _read(ADAPTED)))),
        "failed": (idle, _asks(left, memory)),
        "nothing-found": (nobody, _asks(_shown("left", "done", _read(())))),
        "alone": (nobody, _asks(_shown("left", "done", _read(tuple(s for s in BASE if s.type != "test"))))),
    }
    acts |= of_other_tasks(idle)
    return [Scene("trial", state, desk, act) for state, (desk, act) in acts.items()]


# -- over the window ---------------------------------------------------------------------------------------------------


def _opened(dialog: QDialog) -> QDialog:
    dialog.open()
    return dialog


def _ask_close(window: Window, desk: Desk) -> QDialog:
    words = about_closing(desk, NOW)
    assert words is not None
    return _opened(Question(window, words))


def _ask_begin(window: Window, desk: Desk) -> QDialog:
    words = about_beginning(desk)
    assert words is not None
    return _opened(Question(window, words))


def _fault(window: Window, desk: Desk) -> QDialog:
    del desk
    error = ZeroDivisionError("division by zero")
    dialog = FaultDialog(
        window,
        Problem.of(error, "Traceback (most recent call last):\n  …", fatal=False),
        Path("/srv/lakeview/fedmed-desktop/log/desktop.log"),
    )
    return _opened(dialog)


def _fault_details(window: Window, desk: Desk) -> QDialog:
    dialog = _fault(window, desk)
    assert isinstance(dialog, FaultDialog)
    dialog.show_details.click()
    return dialog


def _guide(window: Window, desk: Desk) -> QDialog:
    del desk
    dialog = GuideDialog(window)
    dialog.open_at("rounds")
    return dialog


def _searches_guide(window: Window, desk: Desk) -> QDialog:
    dialog = _guide(window, desk)
    assert isinstance(dialog, GuideDialog)
    dialog.search.line.setText("approval")
    dialog.search.line.returnPressed.emit()
    return dialog


def _finds_nothing(window: Window, desk: Desk) -> QDialog:
    dialog = _guide(window, desk)
    assert isinstance(dialog, GuideDialog)
    dialog.search.line.setText("epsillon")
    dialog.search.line.returnPressed.emit()
    return dialog


def _asks_method(window: Window, desk: Desk) -> QDialog:
    """Opened at a method that one line tells of, then one that needs more."""
    del desk
    dialog = DemonstrationDialog(window, "fed_medlora")
    dialog.show()
    dialog.advanced.link.click()
    settle(dialog)
    dialog.methods.choose("adaptive_fedlora")
    settle(dialog)
    dialog.methods.choose("fedex")
    return dialog


def _deadlines(window: Window, desk: Desk) -> QDialog:
    del desk
    session = window.rounds.session
    session.deadlines.click()
    assert session.deadlines_dialog is not None
    return session.deadlines_dialog


def _said(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.say(sentence("update.round_closed", {}))
    return None


def _waits(folder: Path) -> Desk:
    site = Lakeview(folder)
    site.trained()
    return site.close()


def dialogs() -> list[Scene]:
    return [
        Scene("rounds", "asks-on-closing", training, _ask_close),
        Scene("rounds", "asks-on-beginning", fitting(FittingShown("training", 30, 120)), _ask_begin),
        Scene("rounds", "fault", training, _fault),
        Scene("rounds", "fault-details", training, _fault_details),
        Scene("rounds", "guide", training, _guide),
        Scene("rounds", "guide-search", training, _searches_guide),
        Scene("rounds", "guide-nothing-found", training, _finds_nothing),
        Scene("rounds", "asks-method", nobody, _asks_method),
        Scene("rounds", "deadlines", training, _deadlines),
        Scene("rounds", "said", _waits, _said),
    ]
