# SPDX-License-Identifier: Apache-2.0
"""Differential privacy in a specification: what goes with it, how a federation is founded with it, what people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fedmed_desktop.cli import main
from fedmed_desktop.cli.ask import evidence_table
from fedmed_desktop.federation import FederationSpec, Plan
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.evidence import Evidence
from fedmed_desktop.federation.plan import PrivacySettings, TrainingSettings
from fedmed_desktop.federation.spec import checked_spec, dump_spec, load_spec
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.wording.protection import protection
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.told import told_as

PRIVACY = PrivacySettings(epsilon=3, unit="patient")


def private_spec(**changes: Any) -> FederationSpec:
    data = small_spec().model_dump(mode="json") | changes
    data["training"] |= {"privacy": PRIVACY.model_dump()}
    return checked_spec(data, "federation.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"name": "scaffold", "form": "gradient"}, "combine": "factors"}, "scaffold sends a mean of grad"),
        ({"method": {"name": "fedopal", "on": "outputs"}, "combine": "factors"}, 'on = "outputs" ties the notes'),
        ({"share": {"histogram": "types"}}, "a histogram of the training notes would leave"),
    ],
)
def test_that_what_would_void_the_promise_is_refused_at_founding(changes: dict[str, Any], words: str) -> None:
    with told_as(f"federation.toml: .*{words}"):
        private_spec(**changes)


def test_that_a_specification_keeps_its_privacy_on_disk_and_without_any_looks_as_before(tmp_path: Path) -> None:
    spec, path = private_spec(), tmp_path / "federation.toml"
    path.write_text(dump_spec(spec), "utf-8")
    assert load_spec(path) == spec and spec.training.privacy == PRIVACY
    assert "privacy" not in small_spec().model_dump_json() and "privacy" not in dump_spec(small_spec())


@pytest.mark.parametrize("wrong", [{"epsilon": 0}, {"epsilon": 1000}, {"delta": 0.5}, {"clip_norm": 0}, {"unit": "x"}])
def test_that_settings_that_promise_nothing_are_no_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings.model_validate({"steps": 1, "privacy": PRIVACY.model_dump() | wrong})


def test_that_a_coordinator_cannot_ask_for_less_privacy_than_the_specification() -> None:
    spec = private_spec(method={"name": "ffa"}, combine="factors")
    good = Plan(round=1, start=INITIAL.sha256, rank=2, training=spec.training, freeze=("A",), seed=1)
    check_plan(good, spec)
    for privacy in (None, PRIVACY.model_copy(update={"epsilon": 4.0}), PRIVACY.model_copy(update={"unit": "note"})):
        worse = good.model_copy(update={"training": spec.training.model_copy(update={"privacy": privacy})})
        with told_as("something other than what the federation's specification says"):
            check_plan(worse, spec)
    assert good.sha256 != worse.sha256


def test_that_a_federation_is_founded_with_privacy(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    asked = ["--model", str(tiny_model), "--notes-types", "drug", "--method", "ffa", "--out", str(tmp_path)]
    assert main(["--new-federation", *asked, "--epsilon", "2.5"]) == 0
    assert load_spec(tmp_path / "federation.toml").training.privacy == PrivacySettings(epsilon=2.5, unit="patient")
    assert "differential privacy" in capsys.readouterr().out


def entry(spent: float | None, unit: str = "note", left: float | None = 1.0) -> Entry:
    training = TrainingSettings(steps=1, privacy=PrivacySettings.model_validate({"epsilon": 20, "unit": unit}))
    plan = Plan(round=1, start=INITIAL.sha256, rank=2, training=training, seed=1)
    update = result_of(plan, INITIAL, moved(INITIAL, 1)).update
    report = update.report.model_copy(update={"epsilon_spent": spent, "epsilon_left": left})
    update = update.model_copy(update={"report": report})
    return Entry("a" * 64, plan, update, Evidence(rank=2, epsilon_spent=spent), "pending", None, "")


def words(one: Entry) -> str:
    return protection(one.plan, one.update.report, one.evidence)


def test_that_a_person_reads_a_verdict_before_numbers() -> None:
    assert words(entry(0.75)) == (
        "Strongly protected by differential privacy. Counted by note, epsilon 0.75 of 1.75 is spent with this update, "
        "1.00 is left (delta 0.00001). This covers the adapter alone: the numbers beside it are exact."
    )
    assert words(entry(3.0, "patient")).startswith("Protected to some degree by differential privacy. Counted by pat")
    assert words(entry(12.0)).startswith("Hardly protected by differential privacy")
    assert "epsilon 12.00 of 20.00 is spent" in words(entry(12.0, left=None))  # the policy took the number out
    assert words(entry(None)) == ""


def test_that_the_terminal_shows_it_with_what_leaves() -> None:
    cells = [list(column.cells) for column in evidence_table(entry(0.75), "somewhere").columns]
    rows = dict(zip(*cells, strict=True))
    assert rows["privacy"] == words(entry(0.75))
    assert (rows["leaves: epsilon spent"], rows["leaves: epsilon left"]) == ("0.7500", "1.0000")
