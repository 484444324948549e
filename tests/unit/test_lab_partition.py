# SPDX-License-Identifier: Apache-2.0
"""Notes become sites: nothing twice, groups whole, the same every time, as skewed as asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, apply_types, read_notes_folder, read_types_map
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.drift import divergence
from fedmed_desktop.lab.corpora import LabNote, read_corpora
from fedmed_desktop.lab.partition import LabSite, share_notes, split_into_sites
from fedmed_desktop.resources import resource
from fedmed_desktop.wording import told
from tests.parts.lab import experiment, lab_note, text_experiment

SPECIALTIES = ("Cardiology", "Neurology", "Surgery", "Urology")
NOTES = [lab_note(number, specialty=SPECIALTIES[number % 4]) for number in range(400)]


def parts(site: LabSite) -> list[list[Note]]:
    return [site.notes.train, site.notes.validation, site.notes.test or []]


def size(site: LabSite) -> int:
    return sum(map(len, parts(site)))


def split(lab_notes: Sequence[LabNote], sites: int = 3, seed: int = 1, **settings: Any) -> list[LabSite]:
    return split_into_sites(lab_notes, text_experiment(split=settings), sites, seed)


LAB_NOTES = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(SPECIALTIES),
        st.sampled_from(["mtsamples", "codiesp"]),
        st.sampled_from([None, "train", "validation", "test"]),
    ),
    min_size=1,
    max_size=150,
).map(
    lambda rows: [
        lab_note(number, f"g{group}", specialty, corpus, official)
        for number, (group, specialty, corpus, official) in enumerate(rows)
    ]
)
SPLITS = st.one_of(
    st.just({"by": "corpus"}),
    st.just({"by": "iid"}),
    st.just({"by": "specialty"}),
    st.just({"by": "specialty", "sizes": "skewed", "ratio": 2.0}),
    st.just({"by": "iid", "notes": 5, "validation_notes": 2, "test_notes": 2}),
    st.fixed_dictionaries(
        {"by": st.just("dirichlet"), "over": st.just("specialties"), "alpha": st.sampled_from([0.001, 0.1, 1.0, 1e4])}
    ),
)


@settings(max_examples=150)
@given(notes=LAB_NOTES, chosen=SPLITS, sites=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_that_sites_are_a_partition_or_a_refusal(
    notes: list[LabNote], chosen: dict[str, Any], sites: int, seed: int
) -> None:
    try:
        found = split(notes, sites, seed, **chosen)
    except UserFacingError as error:
        assert error.code in {"lab.few_notes", "lab.few_labels", "lab.empty_split"}
        return
    of = {one.note.id: one for one in notes}
    places = [(site.name, at, note.id) for site in found for at, part in enumerate(parts(site)) for note in part]
    assert len({name for _, _, name in places}) == len(places), "a note is there twice"
    assert [site.name for site in found] == [f"Site {number + 1}" for number in range(sites)]
    assert all(site.notes.train and site.notes.validation for site in found)
    groups: dict[str, set[tuple[str, int]]] = {}
    for site, at, name in places:
        groups.setdefault(of[name].group, set()).add((site, at))
        assert of[name].split != "test" or at == 2
        assert of[name].split != "validation" or at >= 1
    assert all(len(where) == 1 for where in groups.values()), "a group is parted"
    if chosen["by"] != "corpus" and "notes" not in chosen:
        assert len(places) == len(notes)
    assert split(notes, sites, seed, **chosen) == found


def test_that_another_seed_and_another_count_of_sites_give_other_sites() -> None:
    first, again = split(NOTES, by="iid"), split(NOTES, by="iid")
    assert first == again
    assert first != split(NOTES, seed=2, by="iid")
    assert {size(site) for site in split(NOTES, sites=4, by="iid")} == {100}


def test_that_sizes_have_the_ratio_asked_for() -> None:
    sizes = [size(site) for site in split(NOTES, by="iid", sizes="skewed", ratio=2)]
    assert sizes == pytest.approx([400 * 4 / 7, 400 * 2 / 7, 400 / 7], abs=2)
    skewed = {"by": "dirichlet", "over": "specialties", "alpha": 0.3, "sizes": "skewed", "ratio": 3}
    sizes = [size(site) for site in split(NOTES, **skewed)]
    assert sizes == pytest.approx([400 * 9 / 13, 400 * 3 / 13, 400 / 13], abs=4)
    trained = [len(site.notes.train) for site in split(NOTES, by="iid", sizes="skewed", ratio=2, notes=100)]
    assert trained == [100, 50, 25]


def skew(sites: list[LabSite]) -> float:
    """Mean divergence of the sites' specialties from those of all notes."""
    overall = dict.fromkeys(SPECIALTIES, 0.25)
    found = []
    for site in sites:
        counts = Counter(note.specialty for part in parts(site) for note in part)
        found.append(divergence({str(name): count / size(site) for name, count in counts.items()}, overall))
    return sum(found) / len(found)


def test_that_the_skew_grows_as_alpha_falls() -> None:
    def mean(alpha: float) -> float:
        chosen = {"by": "dirichlet", "over": "specialties", "alpha": alpha}
        return sum(skew(split(NOTES, 3, seed, **chosen)) for seed in range(8)) / 8

    strong, middle, weak, none = map(mean, (0.05, 0.5, 5.0, 1000.0))
    assert strong > 1.2 * middle and middle > 2 * weak and weak > 4 * none
    assert none < 0.01 and strong > 0.2


def test_that_sizes_stay_equal_however_strong_the_skew() -> None:
    for alpha in (0.01, 0.1, 1.0):
        sizes = [size(site) for site in split(NOTES, by="dirichlet", over="specialties", alpha=alpha)]
        assert max(sizes) - min(sizes) <= 4, alpha


def test_that_specialties_go_whole_to_the_site_with_fewest_notes() -> None:
    sites = split(NOTES, sites=2, by="specialty")
    held = [{note.specialty for part in parts(site) for note in part} for site in sites]
    assert not held[0] & held[1] and len(held[0]) == len(held[1]) == 2
    assert [size(site) for site in sites] == [200, 200]


def test_that_chapters_go_whole_too() -> None:
    notes = [lab_note(number, specialty=SPECIALTIES[number % 4], corpus="codiesp") for number in range(80)]
    chosen = text_experiment(corpora=[{"name": "codiesp"}], split={"by": "icd_chapter"})
    sites = split_into_sites(notes, chosen, 4, 1)
    assert all(len({note.specialty for part in parts(site) for note in part}) == 1 for site in sites)


def test_that_dominant_types_can_be_skewed() -> None:
    def note(number: int) -> LabNote:
        type_, start, end = (("drug", 0, 4), ("problem", 5, 6))[number % 2]
        text = lab_note(number).note.text[start:end]
        entity = {"id": "T1", "start": start, "end": end, "type": type_, "text": text}
        return lab_note(number, corpus="phee", types=("drug", "problem"), entities=(entity,))

    chosen = experiment(corpora=[{"name": "phee"}], split={"by": "dirichlet", "over": "types", "alpha": 0.02})
    sites = split_into_sites([note(number) for number in range(100)], chosen, 2, 3)
    shares = [
        sum(entity.type == "drug" for note in site.notes.train for entity in note.entities) / len(site.notes.train)
        for site in sites
    ]
    assert max(shares) > 0.9 and min(shares) < 0.1


def test_that_bundled_notes_by_corpus_are_the_three_sites_as_they_are() -> None:
    chosen = experiment()
    sites = split_into_sites(read_corpora(chosen, None).notes, chosen, 3, 5)
    for site, folder in zip(sites, ("Hillcrest", "Lakeview", "Riverside"), strict=True):
        notes = read_notes_folder(resource("demo_notes") / folder)
        local = read_types_map(resource("demo_notes") / folder / "types.toml")
        expected = [
            apply_types(part, chosen.types, local)[0] for part in (notes.train, notes.validation, notes.test or [])
        ]
        for found, wanted in zip(parts(site), expected, strict=True):
            assert [(n.id, n.text, n.entities) for n in found] == [(n.id, n.text, n.entities) for n in wanted]
    assert [site.types for site in sites] == [("problem",), ("drug", "problem"), ("drug", "problem")]


def test_that_corpora_are_dealt_in_turn() -> None:
    notes = [lab_note(number, corpus="abc"[number % 3]) for number in range(300)]

    def corpora(sites: int) -> list[set[str]]:
        of = {one.note.id: one.corpus for one in notes}
        return [{of[note.id] for part in parts(site) for note in part} for site in split(notes, sites, by="corpus")]

    assert corpora(2) == [{"a", "c"}, {"b"}]
    assert corpora(3) == [{"a"}, {"b"}, {"c"}]
    assert corpora(5) == [{"a"}, {"b"}, {"c"}, {"a"}, {"b"}]
    assert [size(site) for site in split(notes, 5, by="corpus")] == [50, 50, 100, 50, 50]


def test_that_a_group_in_two_corpora_stays_in_the_first() -> None:
    notes = [lab_note(number, corpus="ab"[number % 2], group=f"g{number // 2}") for number in range(80)]
    notes += [lab_note(number, corpus="b") for number in range(80, 120)]
    sites = split(notes, 2, by="corpus")
    assert sum(size(site) for site in sites) == 80
    assert all(int(note.id[1:]) % 2 == 0 for part in parts(sites[0]) for note in part)


def test_that_what_is_tested_on_in_one_corpus_is_not_trained_on_in_another() -> None:
    notes = [lab_note(number, group=f"g{number // 2}", split="train") for number in range(100)]
    notes += [lab_note(100 + number, group=f"g{number}", split="test") for number in range(10)]
    tested = {note.id for site in split(notes, by="iid") for note in site.notes.test or []}
    assert {f"n{number}" for number in range(20)} <= tested


def test_that_official_splits_are_kept_and_lacking_ones_are_shares_of_training() -> None:
    splits = ("train", "train", "train", "train", "validation")
    notes = [lab_note(number, split=splits[number % 5]) for number in range(500)]  # type: ignore[arg-type]
    sites = split(notes, 2, by="iid", test_share=0.25)
    for site in sites:
        assert [len(part) for part in parts(site)] == [150, 50, 50]
        assert all(int(note.id[1:]) % 5 == 4 for note in site.notes.validation)
    assert all(site.notes.test is None for site in split(notes, 2, by="iid", test_share=0))


def test_that_notes_stay_in_their_order() -> None:
    for site in split(NOTES, by="iid"):
        for part in parts(site):
            assert [int(note.id[1:]) for note in part] == sorted(int(note.id[1:]) for note in part)


def test_that_sites_annotate_what_all_their_corpora_do_and_lack_what_they_are_to_lack() -> None:
    both = ({"id": "1", "start": 0, "end": 4, "type": "drug", "text": "Note"},)
    both += ({"id": "2", "start": 0, "end": 6, "type": "treatment", "text": "Note 1"},)
    notes = [lab_note(1, f"g{n}", corpus="a", types=("drug", "treatment"), entities=both) for n in range(40)]
    notes += [lab_note(n, corpus="b", types=("drug",)) for n in range(40, 80)]
    named = {"types": ["drug", "treatment"], "corpora": [{"name": "phee"}]}
    first, second = split_into_sites(notes, experiment(**named), 2, 1)
    assert (first.types, second.types) == (("drug", "treatment"), ("drug",))
    assert {e.type for note in first.notes.train for e in note.entities} == {"treatment"}, (
        "the outer one hides the inner"
    )
    lacking = experiment(**named, split={"lacking": [["treatment"], []]})
    with pytest.raises(UserFacingError) as caught:
        split_into_sites(notes, lacking, 2, 1)
    assert caught.value.code == "lab.type_nowhere" and caught.value.params["type"] == "treatment"
    three = split_into_sites(notes, experiment(**named, split={"lacking": [["treatment"], [], []]}), 3, 1)
    assert [site.types for site in three] == [("drug",), ("drug",), ("drug", "treatment")]
    assert {e.type for note in three[0].notes.train for e in note.entities} == {"drug"}, (
        "and what is lacking hides none"
    )


def test_that_a_site_without_a_common_type_is_refused() -> None:
    notes = [lab_note(n, corpus="ab"[n % 2], types=(("drug",), ("problem",))[n % 2]) for n in range(40)]
    with pytest.raises(UserFacingError) as caught:
        split_into_sites(notes, experiment(split={"by": "iid"}), 2, 1)
    assert caught.value.code == "lab.no_common_type" and "Site 1" in told(caught.value)


@pytest.mark.parametrize(
    ("notes", "sites", "chosen", "code"),
    [
        (NOTES[:2], 3, {"by": "iid"}, "lab.few_notes"),
        (NOTES[:3], 3, {"by": "iid"}, "lab.empty_split"),
        (NOTES, 5, {"by": "specialty"}, "lab.few_labels"),
        ([lab_note(n) for n in range(50)], 2, {"by": "specialty"}, "lab.no_label"),
        ([lab_note(n, group="all") for n in range(50)], 2, {"by": "iid"}, "lab.few_notes"),
    ],
)
def test_that_too_few_notes_are_told(notes: list[LabNote], sites: int, chosen: dict[str, Any], code: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        split(notes, sites, **chosen)
    assert caught.value.code == code and told(caught.value).endswith(".")


def test_that_hardware_is_the_sites() -> None:
    chosen = text_experiment(split={"by": "iid"}, hardware={"caps": [32, 8], "speeds": [1.0, 0.5]})
    sites = split_into_sites(NOTES, chosen, 3, 1)
    assert [(site.rank_cap, site.speed) for site in sites] == [(32, 1.0), (8, 0.5), (32, 1.0)]


def test_that_shared_notes_leave_the_sites_and_fewer_are_the_first_of_more() -> None:
    sites = split(NOTES, by="iid")
    kept, shared = share_notes(sites, 5, 1)
    left = {note.text for site in kept for note in site.notes.validation}
    assert len(shared) == 5 and not left & {note.text for note in shared}
    assert sum(map(size, kept)) == sum(map(size, sites)) - 5
    assert share_notes(sites, 20, 1)[1][:5] == shared
    assert share_notes(sites, 0, 1) == (sites, ())
    with pytest.raises(UserFacingError) as caught:
        share_notes(sites, 50, 1)
    assert caught.value.code == "lab.few_shared"


def test_that_shared_notes_are_of_sites_that_annotate_most() -> None:
    chosen = experiment()
    sites = split_into_sites(read_corpora(chosen, None).notes, chosen, 3, 1)
    kept, shared = share_notes(sites, 20, 1)
    assert [len(site.notes.validation) for site in kept] == [100, 90, 90]
    assert {entity.type for note in shared for entity in note.entities} == {"drug", "problem"}
