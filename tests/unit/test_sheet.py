# SPDX-License-Identifier: Apache-2.0
"""What a person sees before a decision: every number that leaves, what is not measured, what must be acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop.desktop.approvals import decision as deciding
from fedmed_desktop.desktop.approvals.card_row import Line
from fedmed_desktop.desktop.approvals.drift import NO_REFERENCE, NONE_MARKED, NOT_MEASURED, NOT_NAMED, NOT_SHARED
from fedmed_desktop.desktop.approvals.receipts import receipts
from fedmed_desktop.desktop.approvals.sheet import Sheet, expiry, grouped, last_norm, sheet
from fedmed_desktop.events import PhaseChanged
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.client_privacy import ClientPrivacy
from fedmed_desktop.federation.evidence import Evidence, MaskedAmong
from fedmed_desktop.federation.objectives import ControlVariate, Orthogonal
from fedmed_desktop.federation.plan import Masking, TransferSettings
from fedmed_desktop.federation.probes import Membership, ProbeLimits, Probes
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.wording.model_card import model_card
from fedmed_desktop.wording.probes import update_alone
from tests.parts.approval import ADDRESS, AFTER, BEFORE, NOW, REASON, Counted, Site, site_in
from tests.parts.scene import PROBES, REVEALING


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path) as made:
        yield made


def lines(rows: tuple[Line, ...]) -> dict[str, str]:
    return {row.name: row.value for row in rows}


@pytest.mark.parametrize("field", Report.model_fields)
def test_that_every_scalar_of_the_report_is_on_the_sheet(site: Site, field: str) -> None:
    entry = site.trained(histogram={"Cardiology": 31, "Urology": 7}, importance=True)
    assert getattr(entry.update.report, field) not in (None, {}), "give the part a value, so that it can be looked for"
    names = [name for name, _ in sheet(entry, site.desk).numbers]
    said = {"kind": "what", "histogram": "count of", "shared_loss": "loss on shared notes"}
    assert any(name.startswith(said.get(field, field.replace("_", " "))) for name in names)


def test_that_a_site_s_rank_is_told_with_those_of_its_matrices(site: Site) -> None:
    assert lines(sheet(site.trained(), site.desk).details)["Rank"] == "2 · 2 matrices"
    own = dict(zip(site.desk.spec.base.modules, (1, 3), strict=True)) if site.desk.spec else {}
    assert lines(sheet(site.trained(4, ranks=own), site.desk).details)["Rank"] == "2 (1–3) · 2 matrices"


def test_that_what_an_update_is_is_told_in_words(site: Site) -> None:
    assert ("what", "adapter after training") in sheet(site.trained(), site.desk).numbers
    assert ("what", "scores of the final adapter") in sheet(site.scored(), site.desk).numbers


def test_that_every_blob_is_on_the_sheet_by_its_hash_and_exact_size(site: Site) -> None:
    entry = site.trained()
    part = entry.update.parts["adapter"]
    shown = sheet(entry, site.desk)
    assert dict(shown.numbers) | {
        "update": entry.sha256, "round": "3", "sha256 of adapter": part.sha256, "bytes of adapter": f"{part.size:,}",
    } == dict(shown.numbers)  # fmt: skip
    assert shown.hash == part.sha256
    assert shown.short_hash == grouped(part.sha256)
    assert lines(shown.details)["sha256"].replace(" ", "") == part.sha256
    assert lines(shown.details)["sha256 of the update"].replace(" ", "") == entry.sha256


MASKED = {
    "masked": MaskedAmong(sites=("A", "B", "C"), phrase="six-words", clipped=3, values=1000),
    "masking": Masking(clip=0.5, largest_weight=1000, threshold=0.5),
}


def test_that_the_sheet_says_that_nobody_sees_a_masked_update_alone(site: Site) -> None:
    entry = site.trained(**MASKED)
    shown, part = sheet(entry, site.desk), entry.update.parts["masked"]
    assert shown.reveals.startswith("The coordinator cannot see this update alone")
    assert "All numbers leave as they are." in shown.reveals and "The sum can still reveal" in shown.reveals
    assert lines(shown.leaves) | {
        "Masked with": "A, B, C", "Words that all these sites see": "six-words", "Values cut off": "3 of 1,000",
    } == lines(shown.leaves)  # fmt: skip
    assert shown.hash == part.sha256 and ("sha256 of masked adapter", part.sha256) in shown.numbers


def test_that_the_sheet_says_no_such_thing_of_an_update_in_the_open(site: Site) -> None:
    shown = sheet(site.trained(), site.desk)
    assert "alone" not in shown.reveals and "Masked with" not in lines(shown.leaves)


def test_that_the_sheet_says_where_to_and_that_it_is_a_test(site: Site) -> None:
    shown = sheet(site.trained(), site.desk)
    assert (shown.title, shown.destination, shown.environment) == ("Adapter for round 3", ADDRESS, "Test")
    assert lines(shown.leaves) | {
        "To": ADDRESS.removeprefix("ws://"), "Note text": "none", "Your reason": "never sent",
    } == lines(shown.leaves)  # fmt: skip
    assert lines(shown.details)["Rank"] == "2 · 2 matrices"


def test_that_a_change_is_a_word_too(site: Site) -> None:
    worth = {row.name: row for row in sheet(site.trained(), site.desk).worth}
    assert (worth["Drug"].before, worth["Drug"].value, worth["Drug"].word) == ("61", "74 of 100", "better")
    loss = worth["Loss (lower is better)"]
    assert (loss.before, loss.value, loss.word) == ("1.42", "1.07", "better")
    worse = {row.name: row for row in sheet(site.trained(4, before=AFTER, after=BEFORE), site.desk).worth}
    assert (worse["Drug"].word, worse["Drug"].tone) == ("worse", "warn")
    same = {row.name: row for row in sheet(site.trained(5, before=AFTER, after=AFTER), site.desk).worth}
    assert (same["Drug"].word, same["Drug"].tone) == ("same", "")


@pytest.mark.parametrize(
    ("notes", "on", "word"),
    [
        (30, "30 of your notes, kept aside.", "better"), (29, "29 of your notes, kept aside. Too few to tell.", ""),
        (2, "2 of your notes, kept aside. Too few to tell.", ""), (None, "your notes kept aside.", ""),
    ],
)  # fmt: skip
def test_that_only_scores_of_enough_notes_are_called_better(site: Site, notes: int | None, on: str, word: str) -> None:
    shown = sheet(site.trained(notes=notes), site.desk)
    assert shown.worth_on == f"Found correctly, of 100, on {on}"
    assert {row.word for row in shown.worth} == {word}
    assert {row.tone for row in shown.worth} == {"ok" if word else ""}
    worse = sheet(site.trained(4, before=AFTER, after=BEFORE, notes=notes), site.desk)
    assert worse.worth[0].tone == "warn" and worse.findings, "a loss is told however few the notes"


def test_that_evidence_of_an_earlier_version_is_still_read() -> None:
    assert Evidence.model_validate_json('{"rank": 16}').validation_notes is None


@pytest.mark.parametrize(
    ("drift", "word"), [(None, NO_REFERENCE), (0.09, "small"), (0.1, "as usual"), (0.49, "as usual"), (0.5, "large")]
)
def test_that_the_change_is_told_in_a_word(site: Site, drift: float | None, word: str) -> None:
    assert lines(sheet(site.trained(drift=drift), site.desk).differs)["Change of the model"] == word


@pytest.mark.parametrize(
    ("drift", "word", "number"),
    [
        (0.049, "alike", "0.05"),
        (0.05, "somewhat different", "0.05"),
        (0.24, "somewhat different", "0.24"),
        (0.25, "very different", "0.25"),
    ],
)
def test_that_what_the_notes_are_about_is_told_against_the_federation_s(
    site: Site, drift: float, word: str, number: str
) -> None:
    site.shares("specialties")
    shown = sheet(site.trained(histogram={"Urology": 7}, semantic=drift), site.desk)
    assert lines(shown.differs)["Your notes beside others'"] == word
    assert lines(shown.details)["Semantic drift"] == number
    assert shown.unmeasured == ""


@pytest.mark.parametrize(
    ("shared", "histogram", "word", "why"),
    [
        ("none", {}, NOT_MEASURED, NOT_SHARED),
        ("specialties", {}, NOT_MEASURED, NOT_NAMED),
        ("types", {}, NOT_MEASURED, NONE_MARKED),
        ("types", {"drug": 9}, NO_REFERENCE, ""),
    ],
)
def test_that_a_drift_that_nobody_can_measure_says_why(
    site: Site, shared: str, histogram: dict[str, int], word: str, why: str
) -> None:
    site.shares(shared)
    shown = sheet(site.trained(1, histogram=histogram), site.desk)
    assert lines(shown.differs)["Your notes beside others'"] == lines(shown.details)["Semantic drift"] == word
    assert shown.unmeasured == why


def test_that_final_scores_are_not_compared_with_anything(site: Site) -> None:
    shown = sheet(site.scored(), site.desk)
    assert (shown.differs, shown.unmeasured, shown.stays) == ((), "", "")


@pytest.mark.parametrize(
    ("shared", "card", "row"),
    [("specialties", "2 specialties", "notes of specialty Urology"), ("types", "2 types", "entities of type Urology")],
)
def test_that_every_count_is_listed_by_what_it_counts(site: Site, shared: str, card: str, row: str) -> None:
    site.shares(shared)
    shown = sheet(site.trained(histogram={"Cardiology": 31, "Urology": 7}), site.desk)
    assert lines(shown.leaves)["Counts of your notes"] == card
    assert dict(shown.numbers)[row] == "7"
    assert "below 5" not in shown.reveals


def test_that_a_count_of_few_is_warned_of(site: Site) -> None:
    site.shares("specialties")
    one = sheet(site.trained(3, histogram={"Cardiology": 31, "Urology": 4, "Dental": 5}), site.desk)
    assert "One of your counts is below 5" in one.reveals
    two = sheet(site.trained(4, histogram={"Cardiology": 1, "Urology": 4}), site.desk)
    assert "2 of your counts are below 5" in two.reveals


def test_that_a_loss_on_shared_notes_is_on_the_card_and_among_the_numbers(site: Site) -> None:
    shown = sheet(site.trained(), site.desk)
    assert lines(shown.leaves)["Loss on shared notes"] == "0.75"
    assert dict(shown.numbers)["loss on shared notes"] == "0.7500"


def test_that_each_part_is_named_and_what_the_method_keeps_here_is_said(site: Site) -> None:
    usual = sheet(site.trained(2), site.desk)
    assert usual.stays == "" and "Size" in lines(usual.leaves)
    scaffold = site.trained(3, objective=(ControlVariate(form="gradient"),))
    shown = sheet(scaffold, site.desk)
    assert {"Adapter", "Change of the correction (control variate)"} < lines(shown.leaves).keys()
    assert (
        dict(shown.numbers)["sha256 of change of the correction (control variate)"]
        == scaffold.update.parts["control"].sha256
    )
    assert shown.hash == scaffold.sha256, "of two parts, the fingerprint is over both"
    assert "control variate" in shown.stays and "add up to it" in shown.stays
    packed = sheet(site.trained(6, transfer=TransferSettings(dtype="int4")), site.desk)
    assert lines(packed.leaves)["Form"] == "difference, 4 bits" and "Form" not in lines(usual.leaves)
    assert packed.stays.startswith("What rounding took from your earlier updates leaves with this one")
    assert sheet(site.trained(7, transfer=TransferSettings(dtype="int8", feedback=False)), site.desk).stays == ""
    own_b = sheet(site.trained(4, own=("B",)), site.desk)
    assert lines(own_b.leaves)["Adapter"].startswith("factor A only, ")
    assert own_b.stays.startswith("Factor B of your adapter")
    opal = site.trained(5, objective=(Orthogonal(weight=0.5, rank=4),))
    assert sheet(opal, site.desk).stays.startswith("Your personal adapter")
    plan = opal.plan.model_copy(update={"kind": "evaluate"})
    assert "scores are of the model with it" in sheet(replace(opal, plan=plan), site.desk).stays


def test_that_scores_are_shown_where_the_federation_does_not_share_them(site: Site) -> None:
    entry = site.trained()
    hidden = entry.update.report.model_copy(update={"scores_before": Scores(), "scores_after": Scores()})
    update = entry.update.model_copy(update={"report": hidden})
    unshared = type(entry)(**{**entry.__dict__, "update": update})
    shown = sheet(unshared, site.desk)
    assert lines(shown.worth)["Drug"] == "74 of 100"
    assert not any(name.startswith("scores") for name, _ in shown.numbers)


def test_that_what_is_not_measured_says_so(site: Site) -> None:
    shown = sheet(site.trained(1, drift=None), site.desk)
    assert lines(shown.details) | {
        "Model drift": NO_REFERENCE, "Performance drift": NO_REFERENCE, "Semantic drift": NOT_MEASURED,
        "Norm": NO_REFERENCE,
    } == lines(shown.details)  # fmt: skip
    assert shown.reveals.startswith("Not measured for this update") and shown.revealed == ()


def test_that_the_norm_is_told_against_the_round_before(site: Site) -> None:
    site.trained(1, norm=9.0)
    site.trained(2, norm=2.0)
    entry = site.trained(3, norm=2.2)
    site.trained(4, norm=7.0)
    assert last_norm(entry, site.desk) == 2.0
    assert lines(sheet(entry, site.desk).details)["Norm"] == "1.1x your last"


@pytest.mark.parametrize(("norm", "found"), [(6.0, []), (6.1, ["norm_far_out"])])
def test_that_a_norm_far_out_must_be_acknowledged(site: Site, norm: float, found: list[str]) -> None:
    site.trained(2, norm=2.0)
    assert [finding.code for finding in sheet(site.trained(3, norm=norm), site.desk).findings] == found


def test_that_worse_scores_must_be_acknowledged_but_not_worse_ones_in_a_digit_that_nobody_sees(site: Site) -> None:
    findings = sheet(site.trained(3, before=AFTER, after=BEFORE), site.desk).findings
    assert [finding.code for finding in findings] == ["scores_worse"]
    assert "it found 70 correctly before, and 58 after" in findings[0].sentence
    before = Scores.of_entities(TaskScores(strict={"drug": Counts(tp=10_000, fp=5_000, fn=5_000)}))
    after = Scores.of_entities(TaskScores(strict={"drug": Counts(tp=9_999, fp=5_000, fn=5_001)}))
    assert after.headline < before.headline
    assert not sheet(site.trained(4, before=before, after=after), site.desk).findings


def test_that_the_scores_of_the_final_adapter_have_a_sheet_without_an_adapter(site: Site) -> None:
    entry = site.scored()
    shown = sheet(entry, site.desk)
    assert (shown.title, shown.hash, shown.differs) == ("Scores of the final adapter", entry.sha256, ())
    assert (lines(shown.leaves)["Adapter"], shown.worth_on) == (
        "none, scores only",
        "Found correctly, of 100, on 120 of your notes, never used for training.",
    )
    assert lines(shown.worth)["Drug"] == "74 of 100"


def test_that_it_says_when_it_expires(site: Site) -> None:
    entry = site.trained()
    assert expiry(entry, site.desk, NOW) == "Expires when the round closes"
    closes = NOW + timedelta(minutes=40)
    site.stands(3, closes)
    assert expiry(entry, site.desk, NOW) == f"Expires {closes.astimezone():%H:%M}, about 40 min left"
    assert expiry(entry, site.desk, closes) == "The round is closing"
    site.stands(3, NOW + timedelta(days=2))
    assert f"{(NOW + timedelta(days=2)).astimezone():%d %b}" in expiry(entry, site.desk, NOW)
    site.stands(4, closes)
    assert expiry(entry, site.desk, NOW) == "Expires when the round closes"
    site.keep(entry)
    assert expiry(site.desk.record.entries[0], site.desk, NOW) == ""


def test_that_the_record_of_decisions_is_a_table_with_the_latest_first(site: Site) -> None:
    entry = site.trained()
    site.approve(entry)
    site.take_back(entry)
    site.approve(entry)
    site.release(entry)
    site.receive(entry)
    cells = [row.cells for row in receipts(site.desk)]
    assert [cell[2] for cell in cells] == ["Received", "Sending started", "Approved", "Taken back", "Approved"]
    assert [cell[3] for cell in cells] == ["the coordinator", "this program", "ada", "ada", "ada"]
    assert cells[0][5] == grouped(entry.update.parts["adapter"].sha256)
    assert (cells[2][0], cells[2][1], cells[2][4]) == (f"{NOW.astimezone():%Y-%m-%d %H:%M:%S}", "3", REASON)


def test_that_the_table_of_decisions_is_made_in_one_go(site: Site) -> None:
    site.approve(site.trained())
    site.approve(site.trained(4))
    entries = Counted(site.desk.record.entries)
    site.desk.record = replace(site.desk.record, entries=entries)
    assert len(receipts(site.desk)) == 2
    assert entries.rounds == 1, "not once for each decision"


def test_that_a_refusal_is_a_sentence(site: Site) -> None:
    entry = site.scored()
    site.approve(entry)
    site.release(entry)
    site.refuse(entry, "update.round_closed")
    row = receipts(site.desk)[0].cells
    assert (row[1], row[2]) == ("Final scores", "Refused")
    assert row[4].startswith("The round had already closed")
    told = deciding.outcome(site.desk.record.entries[0], site.desk)
    assert told.headline == "Refused by the coordinator" and "The round had already closed" in told.text


def test_that_nobody_decides_while_nobody_asks(site: Site) -> None:
    entry = site.trained(ask=False)
    assert "is not asking" in deciding.why_not_now(entry, site.desk)
    site.ask(entry)
    assert deciding.why_not_now(entry, site.desk) == ""
    site.disconnect()
    assert "does not answer" in deciding.why_not_now(entry, site.desk)
    site.desk.closing = True
    assert "closing" in deciding.why_not_now(entry, site.desk)


@pytest.mark.parametrize(("reason", "will_do"), [("", False), ("  ", False), (" ok ", True), ("a", True)])
def test_that_any_word_is_a_reason(reason: str, will_do: bool) -> None:
    assert (deciding.missing_reason(reason) == "") is will_do


def test_that_an_approval_that_the_program_took_back_says_why_and_keeps_its_reason(site: Site) -> None:
    entry = site.trained()
    assert (deciding.taken_back(entry, site.desk), deciding.last_reason(entry, site.desk)) == ("", "")
    site.approve(entry)
    site.restart()
    assert deciding.taken_back(entry, site.desk) == deciding.PROGRAM_CLOSED
    assert deciding.last_reason(entry, site.desk) == REASON
    site.approve(entry)
    assert deciding.taken_back(entry, site.desk) == ""
    site.take_back(entry, reason="the work was stopped")
    assert deciding.taken_back(entry, site.desk) == deciding.WORK_STOPPED
    site.approve(entry)
    site.take_back(entry)
    assert deciding.taken_back(entry, site.desk) == deciding.TAKEN_BACK


def test_that_nothing_has_left_is_said_only_while_it_is_certain(site: Site) -> None:
    entry = site.trained()
    site.desk.fold([PhaseChanged(site="north", round=3, phase="approval")])
    site.approve(entry)
    site.disconnect()
    site.release(entry)
    (released,) = site.desk.record.entries
    told = deciding.outcome(released, site.desk)
    assert (told.headline, told.share) == ("Approved", None) and "nothing has left yet" in told.text
    site.desk.fold([PhaseChanged(site="north", round=3, phase="uploading")])
    assert deciding.outcome(released, site.desk).headline == "Sending"
    site.desk.phase = None
    told = deciding.outcome(released, site.desk)
    assert told.headline == "Sending" and "nothing" not in told.text, "a restarted program does not know"


def test_that_the_countdown_says_what_an_absent_coordinator_means(site: Site) -> None:
    entry = site.approve(site.trained())
    headline, text = deciding.countdown(entry, NOW, connected=False)
    assert headline == "Final in 10 seconds" and "sent once it can" in text
    assert deciding.countdown(entry, NOW)[0] == "Leaves in 10 seconds"


def revealing(site: Site, number: int, probes: Probes) -> Sheet:
    entry = site.trained(number)
    return sheet(replace(entry, evidence=entry.evidence.model_copy(update={"probes": probes})), site.desk)


def test_that_each_probe_has_a_light_and_a_sentence_and_only_red_must_be_acknowledged(site: Site) -> None:
    calm = revealing(site, 3, PROBES)
    assert calm.reveals.startswith("What was tried here found nothing")
    assert [row.word for row in calm.revealed] == ["nothing found"] * 3 + ["not measured"]
    assert calm.findings == () and "53%" in calm.revealed[0].numbers and "%" not in calm.revealed[0].sentence
    loud = revealing(site, 4, REVEALING)
    assert loud.reveals.startswith("This adapter reveals something about your notes.")
    assert [row.light for row in loud.revealed] == ["red", "red", "amber", None]
    assert loud.opening == (f"{loud.verdict.words}. It reveals something about your notes: consider keeping it", "bad")
    assert calm.opening == (calm.verdict.advice, calm.verdict.tone), "what is read first tells of red probes alone"
    (finding,) = loud.findings
    assert finding.code == "may_reveal" and finding.sentence.startswith("The attack tried here can often tell")
    strict = REVEALING.model_copy(update={"limits": ProbeLimits(red_rare=4.0)})
    assert revealing(site, 5, strict).revealed[2].light == "red", "by the site's own limits"


def test_that_a_high_number_on_few_notes_is_a_reason_to_look_twice_and_no_finding(site: Site) -> None:
    few = PROBES.model_copy(update={"membership": Membership(auc=0.75, low=0.55, high=0.95, trained=11, held_out=11)})
    shown = revealing(site, 3, few)
    assert shown.revealed[0].light == "amber" and shown.findings == () and shown.reveals.startswith("Look twice")


def test_that_what_could_not_be_measured_is_no_good_news(site: Site) -> None:
    late = Probes(missing={"membership": "no_time", "recall": "too_few", "rare": "none_found", "canaries": "off"})
    shown = revealing(site, 3, late)
    assert [row.light for row in shown.revealed] == [None, None, "green", None]
    assert shown.reveals.startswith("Not everything could be measured") and shown.findings == ()


def test_that_what_the_update_alone_gives_away_is_said_by_its_steps_and_rank(site: Site) -> None:
    entry = site.trained(3)
    told = update_alone(entry)
    assert f"{entry.update.report.steps} steps" in told and "2,310 notes at rank 2" in told
    one = entry.update.report.model_copy(update={"steps": 1})
    assert "a single step" in update_alone(replace(entry, update=entry.update.model_copy(update={"report": one})))
    assert sheet(site.scored(), site.desk).revealed == ()


def test_that_an_exported_adapter_gets_a_card_without_names_and_paths(site: Site) -> None:
    entry = site.trained(3)
    site.approve(entry)
    record = site.desk.record
    shown = [replace(one, evidence=one.evidence.model_copy(update={"probes": REVEALING})) for one in record.entries]
    card = model_card(replace(record, entries=tuple(shown), final="f" * 64), "Qwen/Qwen3-0.6B")
    assert card.startswith("---\nbase_model: Qwen/Qwen3-0.6B\nlibrary_name: peft\n")
    assert (
        "| 3 | 2,310 | approved | a person |" in card
        and " ada" not in card.replace(" adapter", "")
        and REASON not in card
    )
    assert "**Round 3.** This adapter reveals something about your notes." in card and "88% of pairs" in card
    assert "## What was not measured" in card and "differential privacy was not used" in card
    assert record.spec is not None
    hidden = record.spec.model_copy(update={"client_privacy": ClientPrivacy(noise_multiplier=2.0, delta=1e-3)})
    card = model_card(replace(record, spec=hidden, final="f" * 64), "Qwen/Qwen3-0.6B")
    assert "| Privacy budget | none that protects single notes or patients |" in card
    assert "of each whole site (delta 0.001), noise 2.00 x clip 1, added by the coordinator |" in card
