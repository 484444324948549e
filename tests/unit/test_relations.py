# SPDX-License-Identifier: Apache-2.0
"""Relations as a task: the prompt, the answer and back, faulty answers, counts, and a site's own relations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import (
    MODIFIERS,
    Note,
    RelationRule,
    Span,
    apply_types,
    read_notes_folder,
    read_relations_map,
    read_types_map,
)
from fedmed_desktop.clinical.link_scoring import Link, score_links
from fedmed_desktop.clinical.modifiers import SCHEMA, goes_with
from fedmed_desktop.clinical.tasks import Relations, with_heads
from fedmed_desktop.resources import resource
from fedmed_desktop.scores import Counts, TaskScores, total
from tests.parts.told import told_as

TEXT = "Aspirin 100 mg daily and oral heparin for severe pain."
TASK = Relations(("drug", "problem"), ("dosage", "frequency", "route", "severity", "temporal"))


def note(text: str, *entities: tuple[str, str], links: Any = (), **more: Any) -> Note:
    """`entities`: words with their type, by number; a link is (head, tail) or (head, tail, type), by number."""
    made = []
    for number, (words, kind) in enumerate(entities):
        start = text.index(words)
        made.append({"id": f"T{number}", "start": start, "end": start + len(words), "type": kind, "text": words})
    relations = [
        {"head": f"T{link[0]}", "tail": f"T{link[1]}", "type": link[2] if len(link) > 2 else "of"} for link in links
    ]
    return Note.model_validate({"id": "n", "text": text, "entities": made, "relations": relations} | more)


def example() -> Note:
    return note(
        TEXT,
        ("Aspirin", "drug"),
        ("heparin", "drug"),
        ("pain", "problem"),
        ("100 mg", "dosage"),
        ("daily", "frequency"),
        ("oral", "route"),
        ("severe", "severity"),
        links=[(0, 3), (0, 4), (1, 4), (1, 5), (2, 6)],
    )


def read(answer: str, of: Note | None = None, task: Relations = TASK) -> list[tuple[str, str, str]]:
    """What an answer about a note says: words of the mention, modifier, words of the modifier."""
    whole = of or example()
    [asked] = task.ask(whole, len(whole.text))
    links = task.predict(whole, [asked], [answer]).links
    text = whole.text
    return [(text[h.start : h.end], t.type, text[t.start : t.end]) for h, t in links]


def test_that_mentions_are_marked_and_numbered_in_the_input_and_the_answer_marks_their_modifiers() -> None:
    [asked] = TASK.teach(example(), 1000)
    assert asked.prompt == (
        "### Task: markup\n### Classes: dosage, frequency, route, severity, temporal\n### Input: "
        '<span class="drug" id="1">Aspirin</span> 100 mg daily and oral <span class="drug" id="2">heparin</span> '
        'for severe <span class="problem" id="3">pain</span>.\n### Output: '
    )
    assert asked.answer == (
        'Aspirin <span class="dosage">100 mg</span> <span class="frequency" of="1 2">daily</span> and '
        '<span class="route">oral</span> heparin for <span class="severity">severe</span> pain.'
    )
    assert TASK.predict(example(), [asked], [asked.answer]).links == tuple(TASK.links(example()))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("", []),
        ("</span><span <span of=", []),
        (TEXT, []),
        # Two mentions at once, told in any way.
        (
            'Aspirin 100 mg <span of="2, 1" class=frequency>daily</span> and oral heparin',
            [("Aspirin", "frequency", "daily"), ("heparin", "frequency", "daily")],
        ),
        # No number, a number that no mention has, and one of a mention that it does not go with: the nearest it does.
        ('Aspirin <span class="dosage">100 mg</span> daily', [("Aspirin", "dosage", "100 mg")]),
        ('daily and <span class="route" of="99">oral</span> heparin', [("heparin", "route", "oral")]),
        ('heparin for <span class="severity" of="1">severe</span> pain', [("pain", "severity", "severe")]),
        (f'for <span class="severity" of="{"9" * 50}">severe</span> pain', [("pain", "severity", "severe")]),
        ('<span class="dosage" of="0">Aspirin</span>', [("Aspirin", "dosage", "Aspirin")]),
        # The right number counts among wrong ones.
        ('heparin for <span class="severity" of="1 3">severe</span> pain', [("pain", "severity", "severe")]),
        # A modifier that was not asked for, one never closed, one inside another, words that are not in the text.
        ('Aspirin <span class="form" of="1">100 mg</span> daily', []),
        ('Aspirin <span class="dosage" of="1">100 mg daily', []),
        (
            'Aspirin <span class="dosage" of="1">100 mg <span class="frequency" of="1">daily</span></span>',
            [("Aspirin", "dosage", "100 mg daily")],
        ),
        ('<span class="dosage" of="1">three spoons</span>', []),
        # A mistake in copying costs the words around it alone.
        ('Asprin <span class="dosage" of="1">100 mg</span> dayly', [("Aspirin", "dosage", "100 mg")]),
    ],
)
def test_that_any_answer_is_read(answer: str, found: list[tuple[str, str, str]]) -> None:
    assert read(answer) == found


def test_that_of_two_mentions_as_near_the_one_before_is_meant() -> None:
    between = note("heparin oral aspirin", ("heparin", "drug"), ("aspirin", "drug"))
    assert read('heparin <span class="route">oral</span> aspirin', between) == [("heparin", "route", "oral")]


def test_that_a_modifier_without_a_mention_that_it_goes_with_is_left_out() -> None:
    assert read('severe <span class="route">oral</span> pain', note("severe oral pain", ("pain", "problem"))) == []


WORDS = ("of", "pain", "5", "mg", "oral", "<span", "</span>", "‹", "naïve", "💊", "\n", "the", "the")


@st.composite
def linked_notes(draw: st.DrawFn) -> Note:
    """Texts of odd words, mentions that do not overlap, modifiers that do not, and links that the schema knows."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=2, max_size=14))
    text = " ".join([*words, "end"])
    places = []
    at = 0
    for word in [*words, "end"]:
        places.append((at, at + len(word)))
        at += len(word) + 1
    usable = [
        place for place in places if text[slice(*place)].strip() and any(c.isalnum() for c in text[slice(*place)])
    ]

    def group(types: tuple[str, ...]) -> list[tuple[int, int, str]]:
        chosen = draw(st.lists(st.sampled_from(usable), unique=True, max_size=5))
        return [(*place, draw(st.sampled_from(types))) for place in chosen]

    heads, tails = group(("drug", "problem")), group(TASK.modifiers)
    entities = [
        {"id": f"T{i}", "start": s, "end": e, "type": kind, "text": text[s:e]}
        for i, (s, e, kind) in enumerate([*heads, *tails])
    ]
    pairs = [(i, len(heads) + j) for i in range(len(heads)) for j in range(len(tails))]
    pairs = [(i, j) for i, j in pairs if goes_with(str(entities[j]["type"]), str(entities[i]["type"]))]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    relations = [{"head": f"T{i}", "tail": f"T{j}", "type": "of"} for i, j in chosen]
    return Note.model_validate({"id": "n", "text": text, "entities": entities, "relations": relations})


@given(linked_notes())
def test_that_the_right_answer_gives_the_links_of_every_note(whole: Note) -> None:
    asked = TASK.ask(whole, len(whole.text))
    assert list(TASK.predict(whole, asked, [one.answer for one in asked]).links) == TASK.links(whole)
    scores = TASK.score(whole, TASK.predict(whole, asked, [one.answer for one in asked]))
    assert total(scores.strict.values()) == Counts(tp=len(TASK.links(whole)))


@given(linked_notes(), st.integers(5, 40))
def test_that_links_within_windows_have_the_offsets_of_the_note_and_those_across_are_missed(
    whole: Note, room: int
) -> None:
    asked = TASK.ask(whole, room)
    found = TASK.predict(whole, asked, [one.answer for one in asked])
    assert set(found.links) <= set(TASK.links(whole))
    scores = TASK.score(whole, found)
    assert total(scores.strict.values()) == Counts(tp=len(found.links), fn=len(TASK.links(whole)) - len(found.links))


@given(
    linked_notes(),
    st.lists(st.sampled_from([*'<>/="1 2,', *["span", "class", "of", "</span>", "dosage", "5", "mg", "pain"]])),
)
def test_that_no_answer_raises_or_links_what_the_schema_does_not_know(whole: Note, parts: list[str]) -> None:
    answer = "".join(parts)
    for one in TASK.ask(whole, len(whole.text)):
        for head, tail in TASK.predict(whole, [one], [answer]).links:
            assert goes_with(tail.type, head.type)


def test_that_a_site_without_relations_is_not_taught_them_and_a_note_without_mentions_not_asked() -> None:
    bare = note(TEXT, ("Aspirin", "drug"))
    assert not TASK.taught_by([bare]) and TASK.taught_by([bare, example()])
    assert TASK.labelled(bare), "that nothing is said of it is a label where others are linked"
    assert not TASK.labelled(note("Nothing.")) and TASK.ask(note("Nothing."), 100) == []
    assert not TASK.labelled(example().model_copy(update={"tasks": ("entities",)}))


def test_that_of_notes_without_a_link_some_are_taught_and_all_asked() -> None:
    notes = [note(TEXT, ("Aspirin", "drug")).model_copy(update={"id": f"n{number}"}) for number in range(300)]
    taught = [one for bare in notes for one in TASK.teach(bare, 1000)]
    assert 10 < len(taught) < 45
    assert sum(len(TASK.ask(bare, 1000)) for bare in notes) == 300


# -- counts ------------------------------------------------------------------------------------------------------------

DRUG, OTHER = Span(0, 7, "drug"), Span(30, 37, "drug")
DOSE = Span(8, 14, "dosage")


def counted(gold: list[Link], found: list[Link]) -> TaskScores:
    return score_links(gold, found, ("dosage", "route"))


def test_that_links_are_counted_as_by_hand() -> None:
    gold = [Link(DRUG, DOSE), Link(OTHER, DOSE), Link(OTHER, Span(20, 24, "route"))]
    found = [
        Link(DRUG, DOSE),  # right
        Link(OTHER, Span(8, 11, "dosage")),  # half of it
        Link(OTHER, Span(20, 24, "dosage")),  # another modifier
        Link(DRUG, Span(20, 24, "severity")),  # not asked for
    ]
    scores = counted(gold, found)
    assert scores.strict == {"dosage": Counts(tp=1, fp=2, fn=1), "route": Counts(fn=1)}
    assert scores.lenient == {"dosage": Counts(tp=2, fp=1), "route": Counts(fn=1)}
    assert scores.unified == Counts(tp=2, fp=1, fn=1)
    assert scores.f1_strict == pytest.approx(2 / 6)


def test_that_a_link_to_the_wrong_mention_is_wrong_even_leniently() -> None:
    scores = counted([Link(DRUG, DOSE)], [Link(OTHER, DOSE)])
    assert scores.strict["dosage"] == scores.lenient["dosage"] == Counts(fp=1, fn=1)


def test_that_the_mentions_own_type_is_not_compared() -> None:
    assert counted([Link(DRUG, DOSE)], [Link(DRUG._replace(type="problem"), DOSE)]).strict["dosage"] == Counts(tp=1)


def test_that_lenient_pairs_are_as_many_as_can_be() -> None:
    """From the left, the wide one would take the only partner of the other."""
    wide, first, second = Span(8, 30, "dosage"), Span(8, 12, "dosage"), Span(20, 24, "dosage")
    gold = [Link(DRUG, wide), Link(DRUG, first)]
    assert counted(gold, [Link(DRUG, first), Link(DRUG, second)]).lenient["dosage"] == Counts(tp=2)


def most_pairs(gold: Sequence[Link], found: frozenset[Link]) -> int:
    """By trying every pair."""
    if not gold:
        return 0
    one, *others = gold
    near = (f for f in found if all(a.start < b.end and b.start < a.end for a, b in zip(one, f, strict=True)))
    return max([most_pairs(others, found), *(1 + most_pairs(others, found - {f}) for f in near)])


@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 4), max_size=5), st.lists(st.tuples(*[st.integers(0, 9)] * 4), max_size=5)
)
def test_that_lenient_counts_are_never_below_strict_ones_and_both_ways_the_same(left: Any, right: Any) -> None:
    gold, found = (
        [Link(Span(a, a + 1 + b % 3, "drug"), Span(c, c + 1 + d % 3, "dosage")) for a, b, c, d in rows]
        for rows in (left, right)
    )
    there, back = counted(gold, found), counted(found, gold)
    assert there.lenient["dosage"].tp == most_pairs(sorted(set(gold)), frozenset(found))
    assert there.lenient["dosage"].tp >= there.strict["dosage"].tp
    assert there.lenient["dosage"].tp == back.lenient["dosage"].tp


# -- a site's own relations --------------------------------------------------------------------------------------------

TYPES = ("drug", "problem")


def linked(of: Note) -> list[tuple[str, str, str]]:
    words = {entity.id: entity.text for entity in of.entities}
    return sorted((words[r.head], r.type, words[r.tail]) for r in of.relations)


def test_that_a_dosage_of_a_treatment_goes_through_it_to_its_drugs() -> None:
    """PHEE: the treatment holds the drugs; the event's other arguments are no modifiers here."""
    before = note(
        "On 5 mg daily of aspirin and heparin she had pain.",
        ("5 mg daily of aspirin and heparin", "Treatment"),
        ("aspirin", "Drug"),
        ("heparin", "Drug"),
        ("5 mg", "Dosage"),
        ("pain", "Effect"),
        links=[(0, 1, "has_drug"), (0, 2, "has_drug"), (0, 3, "has_dosage"), (0, 4, "has_effect")],
    )
    types_map = {"Drug": "drug", "Effect": "problem", "Dosage": "dosage"}
    rules = {"has_dosage": RelationRule(modifier="tail", through="has_drug")}
    [after], report = apply_types([before], TYPES, types_map, MODIFIERS, rules)
    both = [("aspirin", "dosage", "5 mg"), ("heparin", "dosage", "5 mg")]
    assert linked(after) == both
    assert (report.relations, report.annotated_modifiers, report.entities) == (
        {"dosage": 2},
        ("dosage",),
        {"drug": 2, "problem": 1},
    )
    # A treatment that stands for its drugs does not hide them where both are asked for.
    [after], report = apply_types(
        [before], (*TYPES, "treatment"), types_map | {"Treatment": "treatment"}, MODIFIERS, rules
    )
    assert linked(after) == both and report.nested_dropped == 1
    # Without the way through, a treatment has no dosage.
    rules = {"has_dosage": RelationRule(modifier="tail")}
    [after], report = apply_types([before], TYPES, types_map, MODIFIERS, rules)
    assert (linked(after), report.relations_dropped, report.unlinked_dropped) == ([], 1, 1)


def test_that_maccrobat_s_and_chia_s_relations_are_read_by_their_ends() -> None:
    modify = note(
        "severe chest pain", ("severe", "Severity"), ("chest", "Biological_structure"), ("pain", "Sign_symptom"),
        links=[(0, 2, "MODIFY"), (1, 2, "MODIFY"), (2, 0, "OVERLAP")],
    )  # fmt: skip
    types_map = {"Severity": "severity", "Biological_structure": "bodyloc", "Sign_symptom": "problem"}
    [after], report = apply_types([modify], TYPES, types_map, MODIFIERS, {"MODIFY": RelationRule(modifier="head")})
    assert linked(after) == [("pain", "bodyloc", "chest"), ("pain", "severity", "severe")]
    assert report.relations_dropped == 0
    has = note(
        "platelets above 100 in 3 months",
        ("platelets", "Measurement"), ("above 100", "Value"), ("3 months", "Temporal"),
        links=[(0, 1, "Has_value"), (0, 2, "Has_temporal")],
    )  # fmt: skip
    types_map = {"Measurement": "test", "Value": "labvalue", "Temporal": "temporal"}
    [after], _ = apply_types([has], ("test",), types_map, MODIFIERS, {"Has_value": RelationRule(modifier="tail")})
    assert linked(after) == [("platelets", "labvalue", "above 100")]
    [after], _ = apply_types([has], ("test",), types_map, ("temporal",))
    assert linked(after) == [("platelets", "temporal", "3 months")], "a federation may learn some of the modifiers"


def test_that_without_a_table_either_end_may_be_the_modifier_and_the_schema_decides() -> None:
    before = note(
        TEXT, ("Aspirin", "drug"), ("100 mg", "dosage"), ("pain", "problem"), ("oral", "route"), ("severe", "severity"),
        links=[(1, 0), (0, 1), (2, 3), (4, 2), (0, 2, "for")],
    )  # fmt: skip
    [after], report = apply_types([before], TYPES, None, MODIFIERS)
    assert linked(after) == [("Aspirin", "dosage", "100 mg"), ("pain", "severity", "severe")]
    assert (report.relations_dropped, report.unlinked_dropped) == (1, 1)
    assert [entity.type for entity in after.entities] == ["drug", "dosage", "severity", "problem"]


def test_that_modifiers_may_overlap_their_mention_but_not_each_other() -> None:
    before = note(
        "severe left chest pain", ("severe left chest pain", "problem"), ("severe", "severity"),
        ("left chest", "bodyloc"), ("chest", "bodyloc"), links=[(0, 1), (0, 2), (0, 3)],
    )  # fmt: skip
    [after], report = apply_types([before], TYPES, None, MODIFIERS)
    whole = "severe left chest pain"
    assert linked(after) == [(whole, "bodyloc", "left chest"), (whole, "severity", "severe")]
    assert (report.nested_dropped, report.relations_dropped) == (1, 1)
    task = Relations(TYPES, MODIFIERS)
    [asked] = task.ask(after, 100)
    assert list(task.predict(after, [asked], [asked.answer]).links) == task.links(after)
    assert asked.answer == '<span class="severity">severe</span> <span class="bodyloc">left chest</span> pain'


def test_that_a_modifier_may_cross_its_mention() -> None:
    whole = note("severe left chest pain", ("left chest pain", "problem"), ("severe left", "severity"), links=[(0, 1)])
    task = Relations(TYPES, MODIFIERS)
    [asked] = task.ask(whole, 100)
    assert asked.answer == '<span class="severity">severe left</span> chest pain'
    assert list(task.predict(whole, [asked], [asked.answer]).links) == task.links(whole)


def test_that_links_follow_a_mention_that_the_map_made_equal_to_another() -> None:
    before = note(
        "severe pain", ("pain", "Effect"), ("pain", "Disorder"), ("severe", "severity"), links=[(0, 2), (1, 2)]
    )
    [after], report = apply_types([before], TYPES, {"Effect": "problem", "Disorder": "problem"}, MODIFIERS)
    assert linked(after) == [("pain", "severity", "severe")] and report.relations_dropped == 0


def test_that_a_map_may_lead_to_modifiers_that_the_federation_does_not_learn() -> None:
    before = note(TEXT, ("Aspirin", "Drug"), ("100 mg", "Dosage"), links=[(0, 1)])
    [after], report = apply_types([before], TYPES, {"Drug": "drug", "Dosage": "dosage"})
    assert [entity.type for entity in after.entities] == ["drug"] and report.unmapped == {"Dosage": 1}
    with told_as("translates Dosage to dose"):
        apply_types([before], TYPES, {"Drug": "drug", "Dosage": "dose"}, MODIFIERS)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[relations]\nmap = 1\n", r"\[relations.map\] table is empty"),
        ("[relations.map]\n", r"\[relations.map\] table is empty"),
        ('[relations.map]\nhas_dosage = "tail"\n', "value of has_dosage is not like"),
        ('[relations.map]\nhas_dosage = { modifier = "left" }\n', "value of has_dosage is not like"),
    ],
)
def test_that_a_table_of_relations_that_cannot_be_used_is_a_sentence(table: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text(table, "utf-8")
    with told_as(words):
        read_relations_map(path)


def test_that_the_bundled_notes_have_links_of_every_modifier_of_the_demonstration() -> None:
    from fedmed_desktop.demo.settings import MODIFIERS as LEARNED

    for folder in sorted(path for path in resource("demo_notes").iterdir() if path.is_dir()):
        types, rules = read_types_map(folder / "types.toml"), read_relations_map(folder / "types.toml")
        notes, report = apply_types(read_notes_folder(folder).train, TYPES, types, LEARNED, rules)
        task = Relations(TYPES, LEARNED)
        assert (rules is not None) == task.taught_by(notes) == (folder.name == "Riverside")
        if rules is not None:
            assert report.annotated_modifiers == LEARNED and min(report.relations.values()) >= 25
            for one in notes:
                asked = task.ask(one, len(one.text))
                answered = task.predict(one, asked, [each.answer for each in asked])
                assert list(answered.links) == task.links(one)


def test_that_mentions_found_by_a_model_can_be_asked_about() -> None:
    found = with_heads(example(), [Span(0, 7, "drug"), Span(0, 3, "drug"), Span(7, 8, "drug")])
    assert [entity.span for entity in found.entities] == [Span(0, 7, "drug")]
    assert read('Aspirin <span class="dosage" of="1">100 mg</span>', found) == [("Aspirin", "dosage", "100 mg")]


def test_that_the_schema_has_four_classes_of_entity_and_sixteen_of_modifiers() -> None:
    assert (len(SCHEMA), len(MODIFIERS)) == (4, 16)
    assert goes_with("dosage", "drug") and not goes_with("dosage", "problem")
    assert goes_with("dosage", "allergy") and goes_with("mood", "problem"), "what the papers do not have goes together"
