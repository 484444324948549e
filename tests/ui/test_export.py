# SPDX-License-Identifier: Apache-2.0
"""Try it saves the adapter that a note was read with for other programs: as a PEFT folder, or merged into the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed_desktop.clinical import Reading
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.trial.results import WATERMARK
from fedmed_desktop.desktop.work.news import ReadingShown
from fedmed_desktop.desktop.work.requests import TrialRequest
from fedmed_desktop.desktop.work.sessions import Put
from fedmed_desktop.federation import Control
from fedmed_desktop.lora import Adapter, load_adapter
from fedmed_desktop.resources import resource
from tests.parts.ui import Desktop

TEXT = "Warfarin was stopped."


class Quiet(Workshop):
    """Reads nothing: what a note was read with is all that counts here."""

    def read(self, request: TrialRequest, put: Put, control: Control) -> None:
        del request, put, control


@pytest.fixture
def one(desktop: Callable[..., Desktop]) -> Desktop:
    one = desktop(Quiet()).begin()
    one.window.trial.offer_model(resource("demo_model"), resource("demo_adapter"))
    one.window.show_trial()
    one.window.trial.note.set_text(TEXT)
    one.window.trial.read_note()
    one.program.engine.buffer.append(ReadingShown("right", "done", Reading(len(TEXT), (), len(TEXT), state="finished")))
    one.until(one.window.trial.head.save.isVisible)
    return one


def saved(one: Desktop) -> str:
    one.until(lambda: "Saving" not in one.window.trial.head.saved.text() and bool(one.window.trial.head.saved.text()))
    return one.window.trial.head.saved.text()


def test_that_the_adapter_becomes_a_peft_folder_with_its_warning(one: Desktop, tmp_path: Path) -> None:
    save = one.window.trial.head.save
    save.adapter.trigger()
    assert save.dialog is not None and save.adapter.isEnabled()
    save.dialog.fileSelected.emit(str(tmp_path / "adapter"))
    save.dialog.close()
    assert saved(one).startswith("Saved as ")
    assert dict(load_adapter(tmp_path / "adapter").items()).keys() == load_adapter(resource("demo_adapter")).keys()
    assert (tmp_path / "adapter" / "README.md").read_text("utf-8").startswith(f"**{WATERMARK}**")
    save.export_wanted.emit(str(tmp_path / "adapter"), False)
    assert "holds files" in saved(one), "nothing is written over"


def test_that_the_whole_model_is_written_by_who_can_merge(one: Desktop, tmp_path: Path) -> None:
    asked: list[tuple[str, Path]] = []

    def merge(model: str, adapter: Adapter, folder: Path) -> None:
        assert adapter.keys() == load_adapter(resource("demo_adapter")).keys()
        asked.append((model, folder))
        folder.mkdir()

    one.program.reading.merge = merge
    save = one.window.trial.head.save
    save.merged.trigger()
    assert save.dialog is not None
    save.dialog.fileSelected.emit(str(tmp_path / "model"))
    save.dialog.close()
    assert saved(one).startswith("Saved as ")
    assert asked == [(str(resource("demo_model")), tmp_path / "model")]
    assert WATERMARK in (tmp_path / "model" / "README.md").read_text("utf-8")
