# SPDX-License-Identifier: Apache-2.0
"""Approvals: the evidence as a file, and the update layer by layer."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.approvals.evidence import as_html, file_name
from fedmed_desktop.desktop.approvals.layers import COLUMNS, layers, summed
from fedmed_desktop.desktop.approvals.page import ApprovalsPage
from fedmed_desktop.desktop.widgets.saving import as_pdf
from fedmed_desktop.desktop.work.layers import by_layer, place
from fedmed_desktop.federation.evidence import ModuleChange
from tests.parts.approval import NOW, REASON, Site, site_in


def changes(*norms: float, rank: int = 4) -> dict[str, ModuleChange]:
    """A layer for each norm, each with one module; the last layer's is an MLP's."""
    names = [f"model.layers.{layer}.self_attn.q_proj" for layer in range(len(norms) - 1)]
    names.append(f"model.layers.{len(norms) - 1}.mlp.up_proj")
    return {name: ModuleChange(norm=norm, rank=rank) for name, norm in zip(names, norms, strict=True)}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path) as made:
        yield made


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication) -> ApprovalsPage:
    made = ApprovalsPage(lambda: NOW)
    qtbot.addWidget(made)
    made.resize(1104, 628)
    with qtbot.waitExposed(made):
        made.show()
    return made


def named(page: ApprovalsPage, path: Path) -> None:
    dialog = page.view.head.save.dialog
    assert isinstance(dialog, QFileDialog) and dialog.isVisible()
    dialog.fileSelected.emit(str(path))
    dialog.reject()


# -- the evidence ------------------------------------------------------------------------------------------------------


def test_that_the_json_is_the_very_text_that_the_decision_binds(
    page: ApprovalsPage, site: Site, qtbot: QtBot, tmp_path: Path
) -> None:
    entry = site.trained()
    site.approve(entry)
    page.show_desk(site.desk)
    page.view.head.save.json.trigger()
    named(page, path := tmp_path / "evidence.json")
    qtbot.waitUntil(lambda: "evidence.json" in page.view.head.saved.text())
    (approval,) = (told for told in site.desk.record.decisions if told.decision == "approved")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == approval.content
    read = json.loads(path.read_text("utf-8"))
    assert read["parts"]["adapter"]["sha256"] == entry.update.parts["adapter"].sha256
    assert read["report"]["update_norm"] == entry.update.report.update_norm


def test_that_the_pdf_is_written_and_what_cannot_be_is_a_sentence(
    page: ApprovalsPage, site: Site, qtbot: QtBot, tmp_path: Path
) -> None:
    site.trained(modules=changes(1.0, 2.0))
    page.show_desk(site.desk)
    save, saved = page.view.head.save, page.view.head.saved
    save.pdf.trigger()
    named(page, path := tmp_path / "evidence.pdf")
    qtbot.waitUntil(lambda: str(path) in saved.text())
    assert path.read_bytes().startswith(b"%PDF-") and path.read_bytes().rstrip().endswith(b"%%EOF")
    save.pdf.trigger()
    named(page, tmp_path / "missing" / "evidence.pdf")
    qtbot.waitUntil(lambda: "missing" in saved.text() and "Saved" not in saved.text())
    saved.button.click()
    assert saved.isHidden()


def test_that_the_text_has_hashes_numbers_and_decisions_and_escapes_what_people_write(site: Site) -> None:
    entry = site.trained(modules=changes(1.0, 2.0))
    assert "None yet." in as_html(entry, site.desk, NOW)
    site.approve(entry)
    html = as_html(site.desk.record.entries[-1], site.desk, NOW)
    assert entry.update.content_sha256 in html and entry.sha256 in html
    assert all(part.sha256 in html for part in entry.update.parts.values())
    assert REASON in html and "Approved" in html and "ada" in html
    assert "self_attn.q_proj" in html and ">notes</td><td>2310<" in html
    other = site.trained(4)
    site.keep(other, reason="<b>too few & old</b>")
    told = as_html(site.desk.record.entries[-1], site.desk, NOW)
    assert "&lt;b&gt;too few &amp; old&lt;/b&gt;" in told and REASON not in told


def test_that_final_scores_have_evidence_too(page: ApprovalsPage, site: Site) -> None:
    entry = site.scored()
    page.show_desk(site.desk)
    assert file_name(entry, "pdf") == "final-scores-evidence.pdf"
    assert as_pdf("x", as_html(entry, site.desk, NOW)).startswith(b"%PDF-")
    assert page.view.layered.isHidden()


# -- layer by layer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "layer", "name"),
    [
        ("model.layers.0.self_attn.q_proj", 1, "self_attn.q_proj"),
        ("transformer.h.11.attn.c_attn", 12, "attn.c_attn"),
        ("lm_head", 0, "lm_head"),
    ],
)
def test_that_a_module_is_found_in_its_layer(module: str, layer: int, name: str) -> None:
    assert place(module) == (layer, name)


def test_that_shares_are_of_the_energy_and_sum_to_one(site: Site) -> None:
    found = layers(site.trained(modules=changes(1.0, 2.0, 2.0)), site.desk)
    assert [row.share for row in found.rows] == pytest.approx([1 / 9, 4 / 9, 4 / 9])
    assert [row.layer for row in found.rows] == [1, 2, 3]
    assert all(row.against is None for row in found.rows)


def test_that_the_sentence_says_where_the_change_is_and_how_large_beside_the_last(site: Site) -> None:
    site.trained(2, modules=changes(*[1.0] * 10), ask=False)
    found = layers(site.trained(3, modules=changes(*[0.5] * 9, 4.0)), site.desk)
    times = math.hypot(*[0.5] * 9, 4.0) / math.sqrt(10)
    assert found.sentence == (
        "Half of the change is in 1 of 10 layers, layer 10. "
        f"The whole update is {times:.1f} times as large as your last one."
    )
    assert [row.against for row in found.rows] == pytest.approx([0.5] * 9 + [4.0])
    even = layers(site.trained(4, modules=changes(*[0.5] * 10), ask=False), site.desk)
    assert even.sentence.startswith("The change is spread over all 10 layers.")
    none = layers(site.trained(5, modules=changes(0.0, 0.0), ask=False), site.desk)
    assert none.sentence.startswith("Nothing has changed")


def test_that_paper_has_a_row_for_each_layer(site: Site) -> None:
    both = {"h.0.a": ModuleChange(norm=3.0, rank=4), "h.0.b": ModuleChange(norm=4.0, rank=8)}
    site.trained(2, modules=both, ask=False)
    twice = {name: ModuleChange(norm=2 * change.norm, rank=change.rank) for name, change in both.items()}
    (row,) = summed(layers(site.trained(3, modules=twice), site.desk).rows)
    assert (row.layer, row.module, row.rank, row.norm, row.share, row.against) == (1, "2 modules", 8, 10.0, 1.0, 2.0)


def test_that_layers_add_up_what_their_modules_have() -> None:
    assert by_layer({"h.1.a": 0.25, "h.0.b": 0.5, "h.1.c": 0.25}) == {1: 0.5, 2: 0.5}


def test_that_the_table_opens_on_request_sorts_by_numbers_and_is_not_there_without_any(
    page: ApprovalsPage, site: Site, qtbot: QtBot
) -> None:
    old = site.trained(2)  # of a program that measured none
    page.show_desk(site.desk)
    assert page.view.layered.isHidden() and page.view.layers.isHidden()
    site.keep(old)
    site.trained(3, modules=changes(*[float(n) for n in range(1, 13)]))
    page.show_desk(site.desk)
    assert page.view.layers.isHidden()
    qtbot.mouseClick(page.view.layered, Qt.MouseButton.LeftButton)
    table = page.view.layers.table
    assert table.isVisible() and table.model().rowCount() == 12
    assert [table.model().index(row, 0).data() for row in range(12)] == [str(n) for n in range(1, 13)]
    table.sortByColumn(COLUMNS.index("Update norm"), Qt.SortOrder.DescendingOrder)
    assert [table.model().index(row, 0).data() for row in range(3)] == ["12", "11", "10"]
    assert table.model().index(0, 1).data(Qt.ItemDataRole.ToolTipRole) == "model.layers.11.mlp.up_proj"
