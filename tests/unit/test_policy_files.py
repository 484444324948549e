# SPDX-License-Identifier: Apache-2.0
"""Policy files: read, merged, locked, read again; a bad one lets nothing leave."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.cli.check_policy import EXAMPLE
from fedmed_desktop.federation.policy import Facts, InForce, Layer, Policy, Rule, decide
from fedmed_desktop.site.policy_file import PolicyFiles, system_file, user_file
from fedmed_desktop.wording import sentence
from fedmed_desktop.wording.policy_in_force import in_force

FACTS = Facts("Riverside", "test", "fedavg", "train", 8, 1000, 50, 1.5, 0.1)
EVERYTHING = """
most_rank = 16
most_bytes = 1_000_000
least_notes = 20
most_epsilon = 3
scalars = ["notes", "update_norm"]
approvers = ["ann", "bob"]
four_eyes = true
default = "deny"
worst_light = "amber"

[probes]
red_membership = 0.65
share = 0.05

[[deputy]]
name = "cleo"
instead_of = "bob"
first = 2026-07-01
last = 2026-07-14

[[hours]]
days = ["mon", "fri"]
opens = "08:00"
closes = 18:30:00

[[rule]]
name = "small steps"
action = "allow"
method = ["fedavg"]
environment = "test"
most_norm_ratio = 3.0
least_f1_gain = -0.01
"""


class Places:
    """Three places for a policy, and who may own the first."""

    def __init__(self, folder: Path) -> None:
        self.system, self.user, self.given = (folder / f"{name}.toml" for name in ("system", "user", "given"))
        folder.chmod(0o755)

    def write(self, path: Path, text: str) -> str:
        path.write_text(text, "utf-8")
        path.chmod(0o644)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def files(self, given: bool = False) -> PolicyFiles:
        owner = os.getuid() if hasattr(os, "getuid") else 0
        return PolicyFiles(self.given if given else None, system=self.system, user=self.user, owner=owner)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def said(files: PolicyFiles) -> tuple[str, str, str]:
    found = decide(files(), FACTS)
    return found.action, found.rule, sentence(found.code, found.params)


def test_that_nothing_is_in_force_without_a_file(places: Places) -> None:
    assert places.files()().layers == ()
    own = user_file()
    assert own and system_file().parts[-2:] == own.parts[-2:] == ("fedmed-desktop", "policy.toml")


def test_that_a_file_is_read_whole_and_known_by_its_hash(places: Places) -> None:
    digest = places.write(places.user, EVERYTHING)
    (layer,) = places.files()().layers
    assert layer.path == str(places.user) and layer.sha256 == digest and layer.fault is None
    policy = layer.policy
    assert policy.model_fields_set == set(Policy.model_fields)
    assert (policy.hours[0].opens.hour, policy.hours[0].closes.minute) == (8, 30)
    assert decide(places.files()(), FACTS).source == digest


def test_that_the_stricter_of_the_files_holds(places: Places) -> None:
    places.write(places.system, 'most_rank = 16\ndefault = "allow"')
    places.write(places.user, 'most_rank = 4\ndefault = "allow"')
    assert said(places.files())[:2] == ("deny", "most_rank")
    places.write(places.user, 'most_rank = 64\ndefault = "allow"')
    assert said(places.files())[:2] == ("allow", "default")
    places.write(places.given, "four_eyes = true")
    assert said(places.files(given=True))[:2] == ("ask", "four_eyes")


def test_that_a_locked_key_of_another_file_counts_for_nothing_and_is_told(places: Places) -> None:
    places.write(places.system, 'most_rank = 16\ndefault = "allow"\nlocked = ["most_rank", "rule", "default"]')
    places.write(
        places.user, 'most_rank = 4\nmost_bytes = 5000\n[[rule]]\nname = "never"\naction = "deny"'
    )  # fmt: skip
    files = places.files()
    assert said(files)[:2] == ("allow", "default")
    assert files().layers[1].ignored == ("most_rank", "rule")
    places.write(places.user, "most_bytes = 5")
    assert said(files)[:2] == ("deny", "most_bytes"), "what is not locked can be made stricter"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("most_rnk = 3", "most_rnk: 'most_rnk' is no key of a policy; known here: .*most_rank"),
        ('locked = ["most_rank"]', "'locked' is no key of a policy"),
        ("most_rank = ", "cannot be read: it is not valid TOML"),
        ('[[rule]]\nname = "a"\naction = "deny"\nnorm = 3', "rule.1.norm: 'norm' is no key"),
        ('scalars = ["patients"]', "scalars: 'patients' is no number of a report; known: notes"),
        ('hours = "always"', "hours: give a list"),
    ],
)
def test_that_a_mistake_in_a_file_lets_nothing_leave_and_is_named(text: str, words: str, places: Places) -> None:
    places.write(places.user, text)
    action, rule, told = said(places.files())
    assert (action, rule) == ("deny", "unreadable") and str(places.user) in told
    assert "Nothing leaves this site" in told
    assert re.search(words, told), told


def test_that_a_file_nested_too_deep_lets_nothing_leave(places: Places) -> None:
    places.write(places.user, f"scalars = {'[' * 5000}{']' * 5000}")
    assert said(places.files())[:2] == ("deny", "unreadable")


@pytest.mark.parametrize("whose", ["system", "user"])
def test_that_the_example_in_the_help_is_a_policy_for_each_file(places: Places, whose: str) -> None:
    places.write(getattr(places, whose), EXAMPLE)
    (layer,) = places.files()().layers
    assert layer.fault is None and [rule.name for rule in layer.policy.rule] == ["too large a step", "tests"]
    assert layer.policy.model_fields_set >= set(Policy.model_fields)


def test_that_an_account_without_a_home_has_no_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert user_file() is None and PolicyFiles().others == ()


def test_that_a_file_that_is_named_must_be_there(places: Places) -> None:
    assert "there is no such file" in said(places.files(given=True))[2]


def test_that_a_folder_in_its_place_lets_nothing_leave(places: Places) -> None:
    places.user.mkdir()
    assert said(places.files())[:2] == ("deny", "unreadable")


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_that_a_system_file_that_others_can_change_lets_nothing_leave(mode: int, places: Places) -> None:
    places.write(places.system, 'default = "allow"')
    assert said(places.files())[0] == "allow"
    places.system.chmod(mode)
    assert said(places.files())[:2] == ("deny", "unreadable")
    assert "accounts other than the administrator's can change it" in said(places.files())[2]
    places.system.chmod(0o644)
    places.system.parent.chmod(0o777)
    assert said(places.files())[0] == "deny", "who can write the folder can put another file in its place"


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")
def test_that_a_system_file_of_another_owner_lets_nothing_leave(places: Places) -> None:
    places.write(places.system, 'default = "allow"')
    files = PolicyFiles(system=places.system, user=places.user, owner=os.getuid() + 1)
    assert decide(files(), FACTS).code == "policy.not_safe"


def test_that_a_change_is_seen_at_the_next_look_and_nothing_is_read_in_between(places: Places) -> None:
    places.write(places.user, "most_rank = 4")
    files = places.files()
    first = files()
    assert files() is first
    places.write(places.user, "most_rank = 16\n")
    assert said(files)[:2] == ("ask", "default")
    places.user.unlink()
    assert files().layers == ()


# -- in the terminal ---------------------------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without policies."""
    monkeypatch.setattr("fedmed_desktop.site.policy_file.system_file", lambda: tmp_path / "system.toml")
    monkeypatch.setattr("fedmed_desktop.site.policy_file.user_file", lambda: tmp_path / "user.toml")
    return tmp_path


def test_that_the_policy_in_force_is_told_in_sentences_with_their_files(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user, given = nowhere / "user.toml", nowhere / "given.toml"
    user.write_text(EVERYTHING, "utf-8")
    given.write_text("most_rank = 4", "utf-8")
    assert main(["--check-policy", str(given)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{nowhere / 'system.toml'}: not there"
    assert f"The rank is at most 16. A stricter file applies instead. ({user})" in told
    assert f"The rank is at most 4. ({given})" in told
    assert f"Of its report only these numbers may leave: notes, update_norm. ({user})" in told
    assert f"Updates leave only at these times: Monday, Friday 08:00 to 18:30. ({user})" in told
    assert f"Two different people must approve. ({user})" in told
    assert (
        'Rule 1, "small steps": if the method is fedavg and the federation is a test and the update is at most 3 times '
        "as large as the last one and the score, of 100, changes by -1 or more, "
        f"no more than this program asks for by itself. ({user})" in told
    )
    assert f"Otherwise: it may not leave. ({user})" in told


CONDITIONS = [
    ("federation", ("Stroke", "Sepsis"), "the federation is Stroke or Sepsis"),
    ("method", ("fedavg",), "the method is fedavg"),
    ("environment", "test", "the federation is a test"),
    ("environment", "production", "the federation is in production"),
    ("kind", "train", "an adapter was trained"),
    ("kind", "evaluate", "only scores are asked for"),
    ("most_rank", 8, "the rank is at most 8"),
    ("over_rank", 8, "the rank is over 8"),
    ("most_norm_ratio", 2.5, "the update is at most 2.5 times as large as the last one"),
    ("over_norm_ratio", 5.0, "the update is more than 5 times as large as the last one"),
    ("least_f1_gain", -0.01, "the score, of 100, changes by -1 or more"),
    ("under_f1_gain", 0.02, "the score, of 100, changes by less than +2"),
    ("light", "amber", 'what it may reveal is rated "look twice" or worse'),
    ("light", "red", 'what it may reveal is rated "reveals something" or worse'),
]


@pytest.mark.parametrize(("key", "value", "words"), CONDITIONS)
def test_that_a_condition_of_a_rule_is_told_in_words(key: str, value: object, words: str) -> None:
    rule = Rule.model_validate({"name": "a rule", "action": "deny", key: value})
    told = [one.text for one in in_force(InForce((Layer(Policy(rule=(rule,))),)))]
    assert f'Rule 1, "a rule": if {words}, it may not leave.' in told


def test_that_every_condition_has_its_words() -> None:
    assert {key for key, _, _ in CONDITIONS} == Rule.model_fields.keys() - {"name", "action"}


def test_that_no_policy_is_told_as_such(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check-policy"]) == 0
    assert "There is no policy" in capsys.readouterr().out


def test_that_a_bad_policy_ends_with_status_2_also_where_a_site_would_start_with_it(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = nowhere / "bad.toml"
    bad.write_text("most_rnk = 4", "utf-8")
    assert main(["--check-policy", str(bad)]) == 2
    assert "'most_rnk' is no key of a policy" in capsys.readouterr().err
    site = ["--site", "--join", "ws://127.0.0.1:1", "--name", "A", "--model", "x", "--notes", "x", "--data-dir", "x"]
    assert main([*site, "--policy", str(bad)]) == 2
    assert "'most_rnk' is no key of a policy" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no rights of this kind")
def test_that_a_folder_that_is_made_safe_counts_from_then_on(places: Places, tmp_path: Path) -> None:
    places.write(places.system, "most_rank = 8\n")
    tmp_path.chmod(0o777)
    files = places.files()
    assert "accounts other than the administrator's can change it" in said(files)[2]
    tmp_path.chmod(0o755)
    assert files().layers[0].fault is None
    tmp_path.chmod(0o757)
    assert files().layers[0].fault is not None


@pytest.mark.skipif(os.name == "nt", reason="needs a right on Windows")
def test_that_a_link_that_leads_nowhere_lets_nothing_leave(places: Places) -> None:
    places.system.symlink_to(places.system.name)
    assert "cannot be read" in said(places.files())[2]
