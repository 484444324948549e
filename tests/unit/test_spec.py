# SPDX-License-Identifier: Apache-2.0
"""The specification as a file: nothing is lost on the way, and every wrong key is named with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, TrainingSettings, dump_spec, load_spec
from fedmed_desktop.federation.methods import FedAvg
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, RoundSettings, checked_spec
from fedmed_desktop.wording import told
from tests.parts.federation import small_spec


def refused(tmp_path: Path, text: str) -> UserFacingError:
    path = tmp_path / "federation.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserFacingError) as caught:
        load_spec(path)
    return caught.value


TYPES = 'types = [\n    "drug",\n    "problem",\n]'


def changed(old: str, new: str) -> str:
    text = dump_spec(small_spec())
    assert text.count(old) == 1, old
    return text.replace(old, new)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80)
SPECS = st.builds(
    FederationSpec,
    name=NAMES,
    types=st.lists(st.sampled_from(["drug", "problem", "test", "age_group"]), min_size=1, unique=True).map(tuple),
    answer_form=st.sampled_from(["html", "json"]),
    rounds=st.integers(1, 10_000),
    seed=st.integers(0, 2**32 - 1),
    base=st.builds(
        BaseModelSpec,
        fingerprint=st.just("ab" * 32),
        initial=st.just("cd" * 32),
        modules=st.dictionaries(
            st.sampled_from(["model.layers.0.self_attn.q_proj", "h.1.mlp", "plain", 'odd "name"', "a\\b"]),
            st.tuples(st.integers(1, 2**31), st.integers(1, 2**31)),
            min_size=1,
        ),
    ),
    method=st.just(FedAvg()),
    lora=st.builds(LoraSettings, rank=st.integers(1, 1024), alpha=st.floats(1e-3, 1e3)),
    training=st.one_of(
        st.builds(TrainingSettings, epochs=st.floats(0.01, 100), clip_norm=st.floats(0.1, 10)),
        st.builds(TrainingSettings, steps=st.integers(1, 10**6), micro_batch_size=st.integers(1, 64)),
    ),
    round=st.builds(RoundSettings, sites=st.integers(3, 9), quorum=st.integers(1, 3)),
)


@settings(max_examples=60)
@given(spec=SPECS)
def test_that_what_is_written_is_read_back(spec: FederationSpec, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("spec") / "federation.toml"
    path.write_text(dump_spec(spec), encoding="utf-8")
    assert load_spec(path) == spec


def test_that_training_without_clipping_survives_the_file(tmp_path: Path) -> None:
    spec = small_spec(training=TrainingSettings(steps=4, clip_norm=None))
    path = tmp_path / "federation.toml"
    path.write_text(dump_spec(spec), encoding="utf-8")
    assert load_spec(path) == spec


def test_that_a_number_of_thousands_of_digits_is_a_sentence(tmp_path: Path) -> None:
    error = refused(tmp_path, changed("rounds = 3", "rounds = " + "9" * 5000))
    assert error.code == "spec.unreadable" and "not valid TOML" in told(error)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("rounds = 3", "rounds = 0", "rounds", "rounds: it must be 1 or more."),
        ("rounds = 3", 'rounds = "three"', "rounds", "rounds: give a whole number."),
        ("rounds = 3", "rouds = 3", "rouds", "'rouds' is no key of a specification; known here: answer_form, base"),
        ("seed = 0", "seed = 4294967296", "seed", "it must be less than 4294967296."),
        ('answer_form = "html"', 'answer_form = "xml"', "answer_form", "it must be 'html' or 'json'"),
        (TYPES, 'types = ["Drug"]', "types", "'Drug' is not a lower-case word"),
        (TYPES, 'types = ["drug", "drug"]', "types", "named twice"),
        ("\nrank = 2", "\nrank = 0", "lora.rank", "it must be 1 or more"),
        ("\nrank = 2", "\nrnak = 2", "lora.rnak", "known here: alpha, frozen_rank, rank"),
        ("quorum = 2", "quorum = 4", "round", "quorum 4 is more than the 3 expected sites"),
        ("steps = 4", "steps = 4\nepochs = 1", "training", "either epochs or steps"),
        ("learning_rate = 0.0002", "learning_rate = inf", "training.learning_rate", "finite number"),
        ("learning_rate = 0.0002", "learning_rat = 0.0002", "training.learning_rat", "learning_rate"),
        ('name = "fed_medlora"', 'name = "fedavgg"', "method", "'fedavg'"),
        ("format = 1", "format = 2", "format", "1"),
    ],
)
def test_that_a_wrong_key_is_named_with_a_sentence(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    error = refused(tmp_path, changed(old, new))
    assert error.code == "spec.wrong_key"
    assert error.params["key"] == key
    assert words in told(error) and "federation.toml" in told(error)


def test_that_a_missing_key_and_a_damaged_file_are_told_apart(tmp_path: Path) -> None:
    assert refused(tmp_path, changed('name = "Test federation"\n', "")).params["key"] == "name"
    assert refused(tmp_path, "name = ").code == "spec.unreadable"
    (tmp_path / "federation.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UserFacingError) as caught:
        load_spec(tmp_path / "federation.toml")
    assert caught.value.code == "spec.unreadable"
    with pytest.raises(UserFacingError) as caught:
        load_spec(tmp_path / "elsewhere.toml")
    assert caught.value.code == "spec.missing"


def test_that_the_folder_of_a_specification_stands_for_its_file(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    with pytest.raises(UserFacingError, match=r"spec\.missing") as caught:
        load_spec(tmp_path)
    assert str(path) in told(caught.value) and "Check the path" in told(caught.value)
    path.write_text(dump_spec(small_spec()), encoding="utf-8")
    assert load_spec(tmp_path) == load_spec(path)


def test_that_a_fingerprint_is_64_hexadecimal_digits(tmp_path: Path) -> None:
    spec = small_spec()
    error = refused(tmp_path, changed(spec.base.fingerprint, "G" * 64))
    assert error.params["key"] == "base.fingerprint"


def test_that_seeds_are_the_same_on_every_machine_and_differ_between_sites_and_rounds() -> None:
    spec = small_spec(seed=7)
    assert spec.site_seed("A", 1) == 7543428162018382658
    seeds = {small_spec(seed=s).site_seed(site, r) for s in (0, 1) for site in ("A", "B", "A1") for r in (1, 11)}
    assert len(seeds) == 12 and all(0 <= seed < 2**64 for seed in seeds)


def test_that_a_file_with_one_task_is_read_and_a_message_with_tasks_too() -> None:
    spec = small_spec()
    data = spec.model_dump(mode="json")
    assert checked_spec({"task": data.pop("tasks")[0], **data}, "federation.toml") == spec
    assert FederationSpec.model_validate_json(spec.model_dump_json(), strict=True) == spec
