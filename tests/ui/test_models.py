# SPDX-License-Identifier: Apache-2.0
"""Every model behind a list or table keeps Qt's rules while it is filled, grows, changes and is emptied."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt, qInstallMessageHandler
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QTableView, QWidget
from pytestqt.qtbot import QtBot

from tests.parts.sources import source
from tests.parts.views import DESKTOP

if TYPE_CHECKING:
    from fedmed_desktop.desktop.approvals.layers import LayerRow
    from fedmed_desktop.desktop.approvals.layers_panel import LayersModel
    from fedmed_desktop.desktop.history.model import EntriesModel
    from fedmed_desktop.desktop.history.view import Line
    from fedmed_desktop.desktop.monitor.figures import table_of
    from fedmed_desktop.desktop.monitor.table import CurvesModel
    from fedmed_desktop.desktop.widgets.table import TextTable
    from fedmed_desktop.desktop.work.curves import Curves
    from tests.parts import monitor
    from tests.parts.scene import NOW

Show = Callable[[int], object]
IS_MODEL = re.compile(r"Q\w*(Model|ModelBase)")
COUNTS = (0, 3, 60, 60, 2, 0, 5)


def texts(owner: QWidget) -> tuple[QAbstractItemModel, Show]:
    model = TextTable(owner, marked=1)
    return model, lambda count: model.show_texts(
        ["Round", "Part"], [(str(row), f"part {row}") for row in range(count)], [("check", "ok")] * count
    )


def layers(owner: QWidget) -> tuple[QAbstractItemModel, Show]:
    model = LayersModel(owner)
    return model, lambda count: model.show_rows(
        [LayerRow(f"layers.{row}.q_proj", row, "q_proj", 8, 0.3, 0.1, None) for row in range(count)]
    )


def entries(owner: QWidget) -> tuple[QAbstractItemModel, Show]:
    model = EntriesModel(owner)
    words = ("09:48", "Training", "1", "Ruth", "Done")
    return model, lambda count: model.show_lines(
        tuple(Line(n, NOW, words, "decision", "check", "ok", False, False, "training") for n in range(count, 0, -1))
    )


def curves(owner: QWidget) -> tuple[QAbstractItemModel, Show]:
    """Grows by inserted rows, unlike the others; another course resets it."""
    model = CurvesModel(owner)

    def show(count: int) -> None:
        course = Curves()
        course.fold_many(monitor.run(rounds=1, steps=60, last_step=count)[2:] if count else [])
        model.show_table(table_of(course))

    return model, show


MADE: dict[str, Callable[[QWidget], tuple[QAbstractItemModel, Show]]] = {
    "TextTable": texts,
    "LayersModel": layers,
    "EntriesModel": entries,
    "CurvesModel": curves,
}


def test_that_every_model_of_the_desktop_is_tested_here() -> None:
    found = set()
    for path in DESKTOP.rglob("*.py"):
        classes = (node for node in source(path).nodes if isinstance(node, ast.ClassDef))
        found |= {node.name for node in classes if any(IS_MODEL.fullmatch(ast.unparse(base)) for base in node.bases)}
    assert found == MADE.keys()


@pytest.mark.parametrize("name", MADE)
def test_that_a_model_keeps_qts_rules_whatever_it_shows(qtbot: QtBot, name: str) -> None:
    view = QTableView()
    qtbot.addWidget(view)
    model, show = MADE[name](view)
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, view)
    view.setModel(model)
    view.show()
    for count in COUNTS:
        show(count)
        assert model.rowCount() == count or name == "CurvesModel"
        assert _cells(model).count(None) == 0
    assert tester.model() is model
    assert model.rowCount(model.index(0, 0)) == model.columnCount(model.index(0, 0)) == 0
    assert model.data(QModelIndex()) is None


def _cells(model: QAbstractItemModel) -> Sequence[Any]:
    """All that a table reads: words and headings."""
    columns = range(model.columnCount())
    heads = [model.headerData(at, Qt.Orientation.Horizontal) for at in columns]
    return heads + [model.index(row, at).data() for row in range(model.rowCount()) for at in columns]


def test_that_the_watch_over_models_sees_a_broken_one(qtbot: QtBot, qtlog: Any) -> None:
    view = QTableView()
    qtbot.addWidget(view)
    model = TextTable(view)
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, view)
    said: list[str] = []
    with qtlog.disabled():
        before = qInstallMessageHandler(lambda kind, context, text: said.append(text))
        model.beginInsertRows(QModelIndex(), 0, 0)
        model.endInsertRows()  # a row is told of that never came
        qInstallMessageHandler(before)
    assert tester.model() is model and any("FAIL" in text for text in said)
