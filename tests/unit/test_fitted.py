# SPDX-License-Identifier: Apache-2.0
"""A federation's adapter, fitted to one site's notes by the site itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation import Control, FederationSpec, TrainingSettings, dump_spec
from fedmed_desktop.federation.fitted import FittedSettings, Outcome, best_share, between, lasting
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.spec import BaseModelSpec
from fedmed_desktop.federation.work import Stopped
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.lora.base_model import decoder_linears, fingerprint
from fedmed_desktop.lora.load import load_adapter
from fedmed_desktop.site.fitted import keep_fitted, kept_outcome
from fedmed_desktop.site.folder import STATE
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.wording.fitted import verdict
from tests.parts.federation import small_spec
from tests.parts.training import NOTES, SETTINGS, TYPES

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.fitted import Fitting, fit
    from fedmed_desktop.training.trainer import SiteTrainer

TRAINING = SETTINGS.model_copy(update={"learning_rate": 0.05})
SPEC = small_spec(training=TRAINING)


@pytest.mark.parametrize(
    ("losses", "best"),
    [({0.0: 0.3, 0.5: 0.2, 1.0: 0.4}, 0.5), ({1.0: 0.3, 0.0: 0.3}, 0.0)],
    ids=["the lowest loss", "of equals the common adapter"],
)
def test_that_the_best_share_is_taken(losses: dict[float, float], best: float) -> None:
    assert best_share(losses) == best


def test_that_a_fitting_has_a_length_of_its_own_and_none_of_the_rounds_schedule_moments_and_budget() -> None:
    private = PrivacySettings(epsilon=8.0, unit="note")
    federation = TrainingSettings(steps=20, schedule="federation", keep_moments=True, privacy=private)
    found = lasting(federation, 3.0)
    assert (found.epochs, found.steps, found.schedule) == (3.0, None, "round")
    assert not found.keep_moments and found.privacy is None
    assert (lasting(federation, 3.0, 30).steps, lasting(federation, 3.0, 30).epochs) == (30, None)


@pytest.fixture(scope="module")
def start(tiny_model: Path) -> Adapter:
    return Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")


def test_that_a_site_takes_the_share_that_is_best_on_its_validation_notes(trainer: SiteTrainer, start: Adapter) -> None:
    told: list[Fitting] = []
    found = fit(trainer, SPEC, start, FittedSettings(steps=20), told.append)
    losses = found.losses
    assert list(losses) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert found.share == min(losses, key=lambda share: losses[share]) > 0
    assert losses[found.share] < losses[0.0] - 0.1, "it has learned something"
    whole = fit(trainer, SPEC, start, FittedSettings(steps=20, shares=(1.0,))).adapter
    assert algebra.distance(found.adapter, between(start, whole, found.share)) < 1e-5
    assert (found.before.loss, found.after.loss) == (losses[0.0], losses[found.share])
    assert [(one.part, one.done, one.total) for one in (told[0], told[-1])] == [("training", 1, 20), ("scoring", 5, 6)]


def test_that_an_adapter_that_training_on_makes_no_better_is_kept_to_the_bit(
    trainer: SiteTrainer, start: Adapter
) -> None:
    wild = SPEC.model_copy(update={"training": TRAINING.model_copy(update={"learning_rate": 300.0})})
    good = fit(trainer, SPEC, start, FittedSettings(steps=20)).adapter
    found = fit(trainer, wild, good, FittedSettings(steps=4))
    assert (found.share, found.adapter.sha256) == (0.0, good.sha256)


def test_that_a_fitting_can_be_stopped(trainer: SiteTrainer, start: Adapter) -> None:
    control = Control()
    with pytest.raises(Stopped):
        fit(trainer, SPEC, start, FittedSettings(), lambda fitting: control.stop(), control)


def outcome(before: float | None = None, after: float | None = None, share: float = 0.5) -> Outcome:
    return Outcome(share=share, losses=((0.0, 1.2), (0.5, 1.1)), before=before, after=after, notes=40)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (outcome(0.43, 0.49), "Fitted: 49 of 100 found correctly on your validation notes, 43 with the common model."),
        (outcome(0.431, 0.429), "Fitted: it is surer of the right answers, but finds no more: 43 of 100"),
        (outcome(0.43, 0.41), "but finds less: 41 of 100 on your validation notes, 43 with the common model."),
        (outcome(), "Fitted: on your validation notes it is surer of the right answers than the common model."),
        (outcome(0.43, 0.43, share=0.0), "Nothing was gained: the common model is as good on your notes."),
    ],
    ids=["finds more", "as much", "less", "without scores", "the common adapter"],
)
def test_that_the_verdict_promises_no_more_than_was_measured(found: Outcome, words: str) -> None:
    assert words in verdict(found)


def test_that_an_outcome_outlasts_the_program_and_a_damaged_one_is_none(tmp_path: Path, start: Adapter) -> None:
    keep_fitted(tmp_path, start, outcome(0.4, 0.5), "tiny")
    assert kept_outcome(tmp_path) == outcome(0.4, 0.5)
    assert load_adapter(tmp_path).shapes == start.shapes
    (tmp_path / "fitting.json").write_text("{", "utf-8")
    assert kept_outcome(tmp_path) is None and kept_outcome(tmp_path / "nowhere") is None


# -- from the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def spec(tiny_model: Path, start: Adapter) -> FederationSpec:
    base = BaseModelSpec(fingerprint=fingerprint(tiny_model), initial=start.sha256, modules=start.shapes)
    return small_spec(base=base, training=TRAINING, shared_notes=())


@pytest.fixture
def common(tiny_model: Path, tmp_path: Path, start: Adapter) -> list[str]:
    """Arguments that every call has; the notes are in files."""
    notes = tmp_path / "Riverside"
    notes.mkdir()
    for split, those in {"train": NOTES.train, "validation": NOTES.validation}.items():
        (notes / f"{split}.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in those), "utf-8")
    start.save_peft(tmp_path / "site" / "final", str(tiny_model))
    return ["--fit", "--model", str(tiny_model), "--notes", str(notes), "--threads", "1", "--steps", "6"]


def joined(folder: Path, spec: FederationSpec) -> str:
    outbox = Outbox(folder / STATE, BlobStore(folder / "blobs"))
    outbox.remember("spec", spec.model_dump_json())
    outbox.close()
    return str(folder)


def test_that_a_site_fits_its_federations_adapter_from_the_command_line(
    tmp_path: Path, spec: FederationSpec, common: list[str], start: Adapter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*common, "--data-dir", joined(tmp_path / "site", spec)]) == 0
    said = capsys.readouterr().out
    assert "Loss on the validation notes of Riverside" in said and "keep it at your site" in said
    fitted = tmp_path / "site" / "fitted"
    assert load_adapter(fitted).shapes == start.shapes
    outcome = kept_outcome(fitted)
    assert outcome is not None and outcome.notes == len(NOTES.validation) and verdict(outcome) in said
    card = (fitted / "README.md").read_text("utf-8")
    assert card.startswith("---\nbase_model: ") and "**Keep it at this site.**" in card and str(tmp_path) not in card
    assert json.loads((fitted / "adapter_config.json").read_text("utf-8"))["peft_type"] == "LORA"


def test_that_an_adapter_is_fitted_for_a_specification_alone(
    tmp_path: Path, spec: FederationSpec, common: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "federation.toml").write_text(dump_spec(spec), "utf-8")
    common += ["--federation", str(tmp_path / "federation.toml")]
    assert main(common) == 2
    assert "--adapter and the folder to write with --out" in capsys.readouterr().err
    assert main([*common, "--adapter", str(tmp_path / "site" / "final"), "--out", str(tmp_path / "out")]) == 0
    assert load_adapter(tmp_path / "out")


def test_that_what_is_missing_for_a_fitting_is_told(
    tmp_path: Path, spec: FederationSpec, common: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        assert main([*common, *arguments]) == 2
        return capsys.readouterr().err

    assert "No federation is known in" in told("--data-dir", str(tmp_path / "nowhere"))
    unfinished = joined(tmp_path / "unfinished", spec)
    assert "once its federation has finished" in told("--data-dir", unfinished)
    (tmp_path / "unfinished" / "this-site").mkdir()
    assert "has a model of its own already" in told("--data-dir", unfinished)
    other = spec.model_copy(update={"base": spec.base.model_copy(update={"fingerprint": "0" * 64})})
    assert "not the federation's base model" in told("--data-dir", joined(tmp_path / "site", other))
