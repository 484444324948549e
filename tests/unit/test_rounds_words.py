# SPDX-License-Identifier: Apache-2.0
"""What the Rounds page says beside the card: title, times, sites, what has improved, the rounds before."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from fedmed_desktop.desktop.approvals.sheet import sheet
from fedmed_desktop.desktop.rounds.deadlines import deadline_rows, quiet_line
from fedmed_desktop.desktop.rounds.heading import caption, method, sites_line, title
from fedmed_desktop.desktop.rounds.history import COLUMNS, past_rounds, score_table
from fedmed_desktop.desktop.rounds.improvement import MOST_TYPES, improved, signed
from fedmed_desktop.desktop.rounds.screened import screened_line
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import DemoScored
from fedmed_desktop.desktop.work.scored import Key, headline_name, is_f1, value
from fedmed_desktop.scores import Counts, Mean, Scores, TaskName, TaskScores
from fedmed_desktop.standing import Finding, SiteWord
from tests.parts import desks, scene
from tests.parts.approval import NOW, Counted
from tests.parts.desks import MAKERS, Story, closed, decided, scores, standing
from tests.parts.scene import Lakeview, several_tasks


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are told in the computer's own zone, so it has one that is not UTC."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path)
    yield made
    made.site.outbox.close()


def test_that_the_title_is_the_round_or_what_there_is_to_say_instead(tmp_path: Path, story: Story) -> None:
    assert title(story.desk) == "Round 3 of 10"
    story.tell(standing("evaluating", number=10))
    assert title(story.desk) == "Final scores"
    assert title(MAKERS["finished"](tmp_path / "f")) == "All 10 rounds are done"
    story.tell(standing("finished", number=3))
    assert title(story.desk) == "The federation has finished", "its host has ended it in the third round"
    assert title(MAKERS["preparing"](tmp_path)) == title(MAKERS["gathering"](tmp_path / "g")) == "Riverside federation"
    assert title(MAKERS["connecting"](tmp_path)) == "Rounds"


def test_that_times_are_those_of_the_clock_on_the_wall(story: Story) -> None:
    assert caption(story.desk, NOW) == "Started 10:26 · closes 12:12, in 1 h 12 min"
    assert caption(story.desk, NOW + timedelta(minutes=71)) == "Started 10:26 · closes 12:12, in 60 s"
    assert caption(story.desk, NOW + timedelta(hours=2)).endswith("closes now")


def test_that_another_day_is_named(story: Story) -> None:
    late = standing().model_copy(update={"closes": NOW + timedelta(days=2), "attempt": 2})
    story.tell(late)
    assert caption(story.desk, NOW) == "Attempt 2 · started 10:26 · closes Wed 11:00, in 48 h 00 min"
    assert "04 May 10:26" in caption(story.desk, NOW + timedelta(days=30))


def test_that_only_what_is_known_of_times_is_told(tmp_path: Path) -> None:
    assert caption(MAKERS["gathering"](tmp_path / "a"), NOW) == ""
    assert caption(MAKERS["combining"](tmp_path / "b"), NOW) == "Started 10:26"
    assert caption(Desk(), NOW) == caption(MAKERS["finished"](tmp_path / "c"), NOW) == ""


def test_that_sites_without_progress_are_counted_with_their_time(story: Story) -> None:
    assert quiet_line(story.desk, NOW) == ""
    quiet = {"quiet": 2, "quiet_since": NOW - timedelta(minutes=12)}
    story.tell(standing().model_copy(update=quiet))
    assert quiet_line(story.desk, NOW) == "2 sites have made no progress for 12 min."
    story.tell(standing().model_copy(update=quiet | {"quiet": 1}))
    assert quiet_line(story.desk, NOW) == "1 site has made no progress for 12 min."


def test_that_a_site_is_told_what_became_of_its_own_update(story: Story) -> None:
    assert screened_line(story.desk) == ""
    last = closed(2, 0.1, 0.2).model_copy(update={"findings": ("clipped", "not_chosen")})
    story.tell(standing().model_copy(update={"history": (last,)}))
    said = screened_line(story.desk)
    assert said.startswith("Your update of round 2 changed the model more than allowed") and "not combined" in said
    for finding in get_args(Finding):
        story.tell(standing().model_copy(update={"history": (last.model_copy(update={"findings": (finding,)}),)}))
        assert screened_line(story.desk).endswith(".")


def test_that_all_five_deadlines_are_told_with_their_ends(tmp_path: Path, story: Story) -> None:
    rows = {row[0]: row[1:] for row in deadline_rows(story.desk, NOW)}
    assert list(rows) == ["Join", "Download", "Train", "Approve", "Upload"]
    assert rows["Upload"] == rows["Download"] == ("1 h 00 min", "without progress", "–")
    assert rows["Train"][1:] == ("after the opening", "12:12")
    assert rows["Join"][2] == "–"
    story.tell(standing("gathering").model_copy(update={"joins_until": NOW + timedelta(minutes=30)}))
    assert deadline_rows(story.desk, NOW)[0][3] == "11:30"
    assert deadline_rows(Desk(), NOW) == []


def test_that_the_sites_are_one_sentence(story: Story) -> None:
    assert sites_line(story.desk, "approval") == (
        "4 sites take part",
        "2 have sent · 1 waits for approval (you) · 1 is training",
    )
    story.tell(standing(sites={"approval": 2, "offline": 1}))
    assert sites_line(story.desk, "approval")[1] == "2 wait for approval · 1 is offline"
    story.tell(desks.connection("lost", "link.closed"))
    assert sites_line(story.desk, "offline") == ("Other sites", "not known while the host's computer cannot be reached")


def test_that_no_site_is_left_out_of_the_line_whatever_its_word(story: Story) -> None:
    words = get_args(SiteWord)
    story.tell(standing(sites=dict.fromkeys(words, 2)))
    told = sites_line(story.desk, "waiting")[1].split(" · ")
    assert len(told) == len(words) == len(set(told))
    story.tell(standing(sites={"training": 3, "not_asked": 1}))
    assert sites_line(story.desk, "waiting")[1] == "3 are training · 1 is not asked"


def test_that_before_the_first_round_it_tells_who_is_still_missing(tmp_path: Path) -> None:
    assert sites_line(MAKERS["gathering"](tmp_path), "gathering") == (
        "2 sites connected",
        "4 expected before round 1",
    )
    assert sites_line(Desk(), "not_joined") == ("", "")


def test_that_nothing_has_improved_before_the_first_score(tmp_path: Path) -> None:
    found = improved(MAKERS["gathering"](tmp_path))
    assert (found.round, found.own, found.federation) == (0, (), ())


def test_that_own_notes_come_by_type_and_the_federation_from_its_history(tmp_path: Path) -> None:
    found = improved(decided("ask")(tmp_path))
    assert found.round == 3
    assert [(c.label, *c.texts, c.way) for c in found.own] == [
        ("Drug", "61", "74", "+13", "ok"),
        ("Problem", "55", "66", "+11", "ok"),
    ]
    assert [(c.label, *c.texts) for c in found.federation] == [
        ("Combined model on notes of the 4 sites that sent, since round 1", "26", "32", "+6"),
    ]


def test_that_a_loss_is_told_as_one(story: Story) -> None:
    story.site.trained(3, before=scores(0.5, 0.5), after=scores(0.48, 0.5))
    assert [(c.texts[2], c.way) for c in improved(story.desk).own] == [("−2", "bad"), ("±0", "")]
    assert [signed(value) for value in (0, -3, 100)] == ["±0", "−3", "+100"]


def test_that_many_types_show_the_most_frequent_and_count_the_rest(story: Story) -> None:
    strict = {f"type{n}": Counts(tp=n) for n in range(MOST_TYPES + 3)}
    story.site.trained(
        3, before=Scores.of_entities(TaskScores(strict=strict)), after=Scores.of_entities(TaskScores(strict=strict))
    )
    found = improved(story.desk)
    assert found.own[0].label.startswith(f"Type{MOST_TYPES + 2}")
    assert (len(found.own), found.more_types) == (MOST_TYPES, 2), "a type that never occurs is no type"


def test_that_a_federation_that_shares_no_scores_has_no_line(story: Story) -> None:
    silent = closed(2, 0.1, 0.2).model_copy(update={"scores_before": None, "scores_after": None})
    story.tell(standing().model_copy(update={"history": (silent,)}))
    assert improved(story.desk).federation == ()
    assert improved(story.desk).own != ()
    story.tell(standing().model_copy(update={"history": (silent, closed(3, 0.1, 0.2, sent=1))}))
    assert improved(story.desk).federation == (), "what sites had before combining is no score of the combined model"


@pytest.mark.parametrize(
    ("act", "part", "by", "sent"),
    [
        ("sent", "Sent", "ada", "1 kB"),
        ("release", "Uploading", "ada", "–"),
        ("keep", "Kept on site", "ada", "–"),
        ("expire", "Missed", "nobody in time", "–"),
        ("refused", "Refused", "ada", "–"),
    ],
)
def test_that_every_outcome_is_a_row(tmp_path: Path, act: str, part: str, by: str, sent: str) -> None:
    rows = past_rounds(decided(act)(tmp_path).record)
    assert [row.round for row in rows] == [3, 2, 1]
    number, what, who, f1, rank, size, _ = rows[0].texts
    assert (number, what, who, f1, rank, size) == ("3", part, by, "58 → 70 of 100", "2", sent)


def test_that_what_waits_for_a_decision_is_not_past(tmp_path: Path) -> None:
    assert [row.round for row in past_rounds(decided("ask")(tmp_path / "a").record)] == [2, 1]
    assert [row.round for row in past_rounds(decided("approve")(tmp_path / "b").record)] == [2, 1]


def test_that_many_rounds_are_read_in_one_go(story: Story) -> None:
    record = replace(story.desk.record, decisions=Counted(story.desk.record.decisions))
    assert len(past_rounds(record)) == 2
    assert isinstance(record.decisions, Counted) and record.decisions.rounds == 1, "not once for each round"


def test_that_the_scores_after_the_last_round_are_a_row_without_a_blob(story: Story) -> None:
    entry = story.site.scored(10)
    story.site.approve(entry)
    story.site.release(entry)
    story.site.receive(entry)
    texts = past_rounds(story.desk.record)[0].texts
    assert (texts[0], texts[1], texts[3:6]) == ("Final scores", "Sent", ("70 of 100", "–", "scores only"))


def test_that_a_site_that_alone_is_not_asked_finds_itself_among_the_sites(story: Story) -> None:
    story.tell(desks.phase("not_asked"), standing(sites={"training": 3, "not_asked": 1}))
    assert sites_line(story.desk, "waiting") == ("4 sites take part", "3 are training · 1 is not asked (you)")
    story.tell(standing(sites={"training": 2, "not_asked": 2}))
    assert sites_line(story.desk, "waiting")[1] == "2 are training · 2 are not asked"


def test_that_the_method_is_that_of_the_specification_or_of_the_welcome(tmp_path: Path, story: Story) -> None:
    assert method(story.desk) == story.desk.spec.method.name
    assert method(MAKERS["not_joined"](tmp_path)) == ""
    story.desk.fold([replace(story.desk.record, spec=None)])
    story.tell(desks.JOINED)
    assert method(story.desk) == desks.JOINED.method


def test_that_of_several_tasks_each_is_told_by_its_own_name_and_measure(tmp_path: Path) -> None:
    with several_tasks():
        site = Lakeview(tmp_path)
        entry = site.trained()
    site.close()
    found = improved(site.desk)
    assert [change.label for change in found.own] == [
        "Entities", "Modifiers", "ICD-10 codes", "Summaries",
    ]  # fmt: skip
    assert not found.is_f1 and found.more_types == 5
    worth = [line.name.strip() for line in sheet(entry, site.desk).worth]
    assert worth[:3] == ["All tasks", "Entities", "Drug"]
    assert [name for name in worth if name.startswith(("Code", "Category", "Word", "Longest"))] == [
        "Code in the first 10", "Category in first 10", "Codes near the top", "Words shared", "Word pairs shared",
        "Longest passage",
    ]  # fmt: skip
    assert not re.search(r"F1|ROUGE|Recall|MAP", " ".join(worth)), "no measure by its own name"


def test_that_of_several_tasks_the_federation_and_earlier_rounds_are_told_by_task_too(tmp_path: Path) -> None:
    with several_tasks():
        site = Lakeview(tmp_path)
        site.tell(scene.standing())
        entry = site.trained(worse=True)
    site.close()
    found = improved(site.desk)
    assert [change.label for change in found.federation] == [
        f"{task}, combined model, since round 1" for task in ("Entities", "Modifiers", "ICD-10 codes", "Summaries")
    ]
    scores = past_rounds(site.desk.record)[0].texts[COLUMNS.index("Score on your notes")]
    assert scores.endswith(", mean of 4 tasks")
    (finding,) = sheet(entry, site.desk).findings
    assert "Entities from 67 to 56 of 100, Modifiers from" in finding.sentence


def test_that_a_demonstrations_scores_are_listed_task_by_task() -> None:
    rows = {"Federation": {"All sites": 0.46, "Lakeview": 0.45}}
    alone = DemoScored({"entities": rows}, Path("report"), 1.0)
    assert score_table(alone) == (("Model", "All sites", "Lakeview"), [("Federation", "46.0", "45.0")])
    both = DemoScored({"entities": rows, "relations": {"Federation": {"All sites": 0.2}}}, Path("report"), 1.0)
    headings, told = score_table(both)
    assert headings == ("Task", "Model", "All sites", "Lakeview")
    assert told == [("Entities", "Federation", "46.0", "45.0"), ("Modifiers", "Federation", "20.0", "–")]


@pytest.mark.parametrize(("task", "first"), [("questions", "Right answers"), ("summaries", "ROUGE on average")])
def test_that_a_task_without_types_is_not_called_f1(task: TaskName, first: str) -> None:
    own = TaskScores(strict={"answer": Counts(tp=3, fp=1, fn=1)}, means={})
    if task == "summaries":
        own = TaskScores(means={"rouge_l": Mean(sum=1.5, of=3)})
    assert headline_name(task, several=False) == first
    assert not is_f1(Scores(tasks={task: own}))
    assert value(Scores(tasks={task: own}), Key(task, "all")) == own.headline
