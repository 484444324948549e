# SPDX-License-Identifier: Apache-2.0
"""An experiment as a file: every fault is a sentence that says what to change; cells are the same in every run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.lab.cells import cells
from fedmed_desktop.lab.experiment import Experiment, load_experiment
from fedmed_desktop.resources import resource
from fedmed_desktop.wording import told
from tests.parts.lab import experiment, text_experiment

EXPERIMENTS = sorted(resource("experiments").glob("*.toml"))

HEAD = 'name = "Test"\ntypes = ["drug", "problem"]\nsites = [2, 3]\nseeds = [1, 2]\n'
ENCODER = 'baselines = ["encoder"]\n'
METHOD = '[[methods]]\nmethod = { name = "fedavg" }\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        load_experiment(written(tmp_path, text))
    return caught.value


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_that_every_experiment_that_comes_with_the_program_can_be_read(path: Path) -> None:
    found = load_experiment(path)
    assert found.cost.endswith(".") and "core" in found.cost
    assert not set(found.seeds) & set(found.tuning_seeds)
    assert cells(found)


def test_that_the_experiments_of_the_papers_are_there() -> None:
    assert {"adaptive", "medlora", "fedopal", "quick"} <= {path.stem for path in EXPERIMENTS}


def test_that_the_help_names_every_experiment_that_comes_with_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--lab", "--help"])
    told = capsys.readouterr().out
    assert EXPERIMENTS and all(path.stem in told for path in EXPERIMENTS)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (METHOD.replace("fedavg", "fedavgg"), "methods.1.method", "'fedavg'"),
        (
            METHOD.replace(" }", ", mu = 1 }"),
            "methods.1.method.mu",
            "'mu' is no key of an experiment; known here: name",
        ),
        (
            METHOD + METHOD + "colour = 1\n",
            "methods.2.colour",
            "known here: client_privacy, combine, label, method, rank",
        ),
        ("tuning_seed = [1]\n" + METHOD, "tuning_seed", "tuning_seeds"),
        ("tuning_seeds = [2]\n" + METHOD, "tuning_seeds", "seed 2 is among the reported seeds too"),
        ("rounds = 0\n" + METHOD, "rounds", "it must be 1 or more"),
        ("clients = 3\n" + METHOD, "clients", "3 sites cannot be asked in a round where sites has 2"),
        ('histogram = "chapters"\n' + METHOD, "histogram", "'specialties'"),
        ('baselines = ["base", "base"]\n', "baselines", "twice"),
        ('baselines = ["nobody"]\n', "baselines.1", "'alone'"),
        (METHOD + '[[corpora]]\nname = "mimic"\n', "corpora.1.name", "'mtsamples'"),
        (METHOD + '[[corpora]]\nname = "mtsamples"\n', "corpora", 'mtsamples has no entities: set tasks = ["text"]'),
        (METHOD + '[[corpora]]\nname = "phee"\n[[corpora]]\nname = "phee"\n', "corpora", "named twice"),
        (METHOD + '[[corpora]]\nname = "phee"\ntypes = { Drug = "test" }\n', "corpora", "'test'"),
        (METHOD + '[[corpora]]\nname = "bundled"\ntypes = { Drug = "drug" }\n', "corpora.1", "take no map of types"),
        (METHOD + '[split]\nby = "specialty"\n', "split", "the notes of bundled have no specialty"),
        (METHOD + '[split]\nby = "icd_chapter"\n', "split", "no ICD-10 codes"),
        (METHOD + '[split]\nby = "dirichlet"\n', "split", "needs alpha and over"),
        (METHOD + '[split]\nby = "iid"\nalpha = 0.3\n', "split", "leave them out"),
        (METHOD + '[split]\nsizes = "skewed"\n', "split", "ratio = 2"),
        (METHOD + '[split]\nlacking = [["test"]]\n', "split", "'test' cannot be lacking"),
        (METHOD + '[split]\nlacking = [["drug", "problem"]]\n', "split", "leave it one"),
        (METHOD + "[split]\nvalidation_share = 0.6\ntest_share = 0.4\n", "split", "leave nothing to train on"),
        (METHOD + METHOD, "(whole file)", "two methods are labelled 'fedavg'"),
        (METHOD + 'label = "alone"\n', "(whole file)", "a baseline's name"),
        ("", "(whole file)", "add [[methods]] or baselines"),
        (METHOD + "training = { learning_rat = 1 }\n", "methods.1.training", "learning_rat"),
        (METHOD + "training = { steps = 2, epochs = 1 }\n", "methods.1.training", "either epochs or steps"),
        ('[[methods]]\nlabel = "a\\nb"\nmethod = { name = "fedavg" }\n', "methods.1.label", "match pattern"),
        ("training = 3\n" + METHOD, "training", "give a table, in { } or under a heading"),
        ("tuning_seeds = 1\n" + METHOD, "tuning_seeds", "give a list, in [ ]"),
        ('[[methods]]\nmethod = "fedavg"\n', "methods.1.method", 'give a table, in { }, such as { name = "fedavg" }'),
        ("[[methods]]\nmethod = { mu = 1 }\n", "methods.1.method", 'needs a name, such as name = "fedavg"'),
        (METHOD.replace("fedavg", "fedavgg"), "methods.1.method", "there is no 'fedavgg'; known here: "),
        ("threads = 100000\n" + METHOD, "threads", "it must be 256 or less"),
        ("[encoder]\nepochs = 3\n" + METHOD, "(whole file)", "add it to baselines, or leave [encoder] out"),
        (ENCODER + "[encoder]\nkinds = []\n", "encoder.kinds", "it has 0 entries, and needs 1 or more"),
        (ENCODER + '[encoder]\nkinds = ["fedavg"]\n', "encoder.kinds.1", "'federated'"),
        (ENCODER + '[encoder]\nkinds = ["alone", "alone"]\n', "encoder.kinds", "twice"),
        (ENCODER + "[encoder]\nfreeze_embeddings = true\n", "encoder.freeze_embeddings", "have learnt nothing yet"),
        (ENCODER + "[encoder]\nlearning_rat = 1\n", "encoder.learning_rat", "learning_rate, max_tokens, model"),
        (
            'tasks = ["entities", "relations"]\nmodifiers = ["severity"]\n' + ENCODER,
            "(whole file)",
            "marks entities only",
        ),
        (METHOD + 'label = "encoder FedAvg"\n', "(whole file)", "a baseline's name"),
        (METHOD + "[hardware]\nspeeds = [2.0]\n", "hardware.speeds.1", "it must be 1.0 or less"),
        (METHOD + "[hardware]\ncaps = [0]\n", "hardware.caps.1", "it must be more than 0"),
    ],
)
def test_that_a_wrong_key_is_named_with_a_sentence(tmp_path: Path, text: str, key: str, words: str) -> None:
    error = refused(tmp_path, HEAD + text)
    assert (error.code, error.params["key"]) == ("spec.wrong_key", key)
    assert words in told(error) and "lab.toml" in told(error) and "Correct this key" in told(error)


def test_that_one_site_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, HEAD.replace("[2, 3]", "[1]") + METHOD)
    assert error.params["key"] == "sites" and "one site is no federation" in told(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"types": ["drug"]}, "reads no entities"),
        ({"score_on": "answers"}, 'set score_on = "loss"'),
        ({"histogram": "types"}, '"specialties", "none" or "auto"'),
        ({"split": {"by": "dirichlet", "over": "types", "alpha": 1}}, 'over = "specialties"'),
    ],
)
def test_that_text_alone_asks_for_nothing_about_entities(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        text_experiment(**changes)


def test_that_entities_need_types() -> None:
    with pytest.raises(ValueError, match="name at least one type of entity"):
        experiment(types=[])


def test_that_a_file_that_is_not_there_or_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        load_experiment(tmp_path / "elsewhere.toml")
    assert caught.value.code == "lab.missing"
    assert refused(tmp_path, "name = ").code == "lab.unreadable"


def test_that_a_combination_without_sense_is_refused_with_the_reason_and_the_method(tmp_path: Path) -> None:
    text = HEAD + METHOD + '[[methods]]\nlabel = "FFA"\ncombine = "product"\nmethod = { name = "ffa" }\n'
    error = refused(tmp_path, text)
    assert error.code == "methods.ffa_keeps_a"
    assert told(error).startswith("lab.toml, FFA: ffa keeps one A")


def test_that_a_method_without_its_shared_notes_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, HEAD + "shared_notes = 0\n" + METHOD.replace("fedavg", "fed_medlora_plus"))
    assert error.code == "lab.no_shared_notes" and "Set shared_notes to 1 or more" in told(error)


def test_that_a_method_is_refused_whose_shared_notes_say_nothing_of_the_tasks(tmp_path: Path) -> None:
    text = 'name = "T"\ntasks = ["codes"]\nsites = [2]\n[[corpora]]\nname = "codiesp"\n'
    error = refused(tmp_path, text + METHOD.replace("fedavg", "fed_medlora_plus"))
    assert error.code == "lab.shared_notes_lack_labels" and "none of the tasks is learned" in told(error)


def test_that_a_rank_over_the_cap_is_refused_where_ranks_cannot_be_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS["ffa"], "mixes_ranks", False)
    caps = "[hardware]\ncaps = [32, 8]\n"
    ffa = METHOD.replace("fedavg", "ffa")
    error = refused(tmp_path, HEAD + ffa + caps)
    assert error.code == "lab.rank_over_cap"
    assert "lab.toml, ffa: ffa gives all sites the same rank, and rank 16 is over the smallest cap, 8" in told(error)
    for mended in (ffa + 'rank = "smallest_cap"\n', ffa + "rank = 8\n", METHOD):
        assert load_experiment(written(tmp_path, HEAD + mended + caps)).methods


def test_that_a_rank_of_its_own_keeps_the_scale() -> None:
    found = experiment(
        lora={"rank": 16, "alpha": 32},
        hardware={"caps": [32, 12, 8]},
        sites=[2, 3],
        methods=[
            {"method": {"name": "fedavg"}},
            {"method": {"name": "fedavg"}, "label": "own", "rank": 4},
            {"method": {"name": "fedavg"}, "label": "smallest", "rank": "smallest_cap"},
        ],
    )
    ranks = [[found.lora_of(choice, sites).rank for sites in found.sites] for choice in found.methods]
    assert ranks == [[16, 16], [4, 4], [12, 8]]
    assert {found.lora_of(choice, 3).scale for choice in found.methods} == {2.0}


def test_that_a_methods_own_training_stands_in_for_the_experiments() -> None:
    own = {"steps": 5, "optimizer": "sgd"}
    found = experiment(
        training={"epochs": 2, "learning_rate": 0.003},
        methods=[{"method": {"name": "fedavg"}, "training": own}, {"method": {"name": "ffa"}}],
    )
    trained = found.methods[0].trained(found.training)
    assert (trained.steps, trained.epochs, trained.optimizer, trained.learning_rate) == (5, None, "sgd", 0.003)
    assert found.methods[1].trained(found.training) == found.training


def test_that_hardware_goes_round_the_sites() -> None:
    hardware = experiment(hardware={"caps": [32, 16, 8], "speeds": [1.0, 0.5]}).hardware
    assert hardware.caps_of(5) == (32, 16, 8, 32, 16)
    assert hardware.speeds_of(3) == (1.0, 0.5, 1.0)
    assert experiment().hardware.caps_of(3) == () and experiment().hardware.speeds_of(2) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("corpora", "task", "expected"),
    [
        (["bundled"], "entities", "types"),
        (["mtsamples"], "text", "specialties"),
        (["mtsamples", "codiesp"], "text", "specialties"),
        (["mtsamples", "phee"], "text", "none"),
    ],
)
def test_that_the_histogram_is_of_what_the_notes_have(corpora: list[str], task: str, expected: str) -> None:
    types = ["drug", "problem"] if task == "entities" else []
    found = experiment(task=task, types=types, corpora=[{"name": name} for name in corpora])
    assert found.histogram_of == expected
    assert found.model_copy(update={"histogram": "none"}).histogram_of == "none"


def test_that_as_many_notes_are_set_aside_as_a_method_shares_at_most() -> None:
    plus = {"name": "fed_medlora_plus"}
    methods = [{"method": plus, "label": str(count), "shared_notes": count} for count in (1, 20)]
    assert experiment(methods=[{"method": {"name": "fedavg"}}]).set_aside == 0
    assert experiment(methods=[{"method": plus}]).set_aside == 5
    found = experiment(methods=[{"method": {"name": "fedavg"}}, *methods])
    assert found.set_aside == 20
    assert [found.shared_by(choice) for choice in found.methods] == [0, 1, 20]


def test_that_cells_are_whole_comparisons_seed_after_seed_with_ids_that_stay() -> None:
    found = experiment(
        seeds=[1, 2],
        tuning_seeds=[9],
        sites=[2, 3],
        baselines=["centralised", "base"],
        methods=[{"method": {"name": "fedavg"}}, {"method": {"name": "ffa"}, "label": "FFA, frozen"}],
    )
    ids = [cell.id for cell in cells(found)]
    assert ids[:4] == [
        "base, 2 sites, seed 1",
        "centralised, 2 sites, seed 1",
        "fedavg, 2 sites, seed 1",
        "FFA, frozen, 2 sites, seed 1",
    ]
    assert len(set(ids)) == len(ids) == 2 * 2 * 4
    assert [cell.seed for cell in cells(found)] == [1] * 8 + [2] * 8
    assert {cell.seed for cell in cells(found, tuning=True)} == {9}
    assert cells(found)[2].choice == found.methods[0] and cells(found)[0].choice is None


def test_that_the_bundled_model_is_the_usual_one() -> None:
    assert experiment().model_folder == resource("demo_model")
    assert experiment(model="elsewhere/model").model_folder == Path("elsewhere/model")
    assert isinstance(experiment(), Experiment)


def test_that_a_method_which_only_a_coordinator_can_score_is_refused_with_what_to_write(tmp_path: Path) -> None:
    text = HEAD + '[[methods]]\nmethod = { name = "fed_medlora_plus", measured_by = "coordinator" }\n'
    error = refused(tmp_path, text)
    assert error.code == "lab.no_scorer" and 'measured_by = "sites"' in told(error)


def test_that_an_encoder_has_the_papers_settings_or_those_of_one_from_scratch() -> None:
    papers = experiment(baselines=["encoder"], encoder={"model": "elsewhere/Bio_ClinicalBERT"}).encoder
    assert (papers.batch_size, papers.learning_rate, papers.max_tokens) == (64, 2e-4, 512)
    assert papers.freeze_embeddings and papers.described == "Bio_ClinicalBERT"
    scratch = experiment(baselines=["encoder"]).encoder
    assert scratch.folder is None and not scratch.freeze_embeddings
    assert scratch.described == "small encoder trained from scratch"


def test_that_an_encoder_is_a_cell_for_each_way_of_training_it() -> None:
    found = experiment(baselines=["base", "encoder"], encoder={"kinds": ["centralised", "federated"]})
    assert [cell.label for cell in cells(found)] == ["base", "encoder FedAvg", "encoder centralised", "fedavg"]
    assert {cell.method for cell in cells(found) if cell.kind == "encoder"} == {"small encoder trained from scratch"}
