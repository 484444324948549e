# SPDX-License-Identifier: Apache-2.0
"""The table of ICD-10-CM, and the codes that BM25 finds in a note, on a small table and on the bundled one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmed_desktop.clinical.icd10 import CodeIndex, CodeTable, Term, bundled_index, bundled_table, category, dotted
from fedmed_desktop.clinical.icd10.candidates import LONGEST_PASSAGE, PER_CATEGORY, passages
from fedmed_desktop.clinical.icd10.words import Synonyms, english_stemmer, note_words, read_synonyms, term_words
from fedmed_desktop.resources import resource

CODES = {
    "E11.9": "Type 2 diabetes mellitus without complications",
    "E11.65": "Type 2 diabetes mellitus with hyperglycemia",
    "I10": "Essential (primary) hypertension",
    "I15.0": "Renovascular hypertension",
    "M79.671": "Pain in right foot",
    "M79.672": "Pain in left foot",
    "R50.2": "Drug induced fever",
    "R50.82": "Postprocedural fever",
    "R50.9": "Fever, unspecified",
    "R52": "Pain, unspecified",
    "S72.001A": "Fracture of unspecified part of neck of right femur, initial encounter for closed fracture",
    "S72.001D": "Fracture of unspecified part of neck of right femur, subsequent encounter for closed fracture",
    "S72.001S": "Fracture of unspecified part of neck of right femur, sequela",
}
CATEGORIES = {"E11": "Type 2 diabetes mellitus", "R50": "Fever of other and unknown origin", "R52": "Pain, unspecified"}
TERMS = (
    Term("I10", "High blood pressure"),
    Term("R50", "Pyrexia of body"),
    Term("R52", "Conditions classifiable to I10"),
)
TABLE = CodeTable(CODES, CATEGORIES, TERMS)


@pytest.fixture(scope="module")
def index() -> CodeIndex:
    return CodeIndex(TABLE, read_synonyms(["# left, right", "", "feverish\tfever"], english_stemmer()))


def found(index: CodeIndex, text: str) -> list[str]:
    return [candidate.code for candidate in index.find(text)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("E119", "E11.9"), (" e11.9 ", "E11.9"), ("E11.", "E11"), ("i10", "I10"), ("S72001A", "S72.001A"), ("", "")],
)
def test_that_codes_have_one_spelling(given: str, expected: str) -> None:
    assert dotted(given) == expected
    assert category(given) == expected[:3]


def test_that_only_billable_codes_are_known() -> None:
    assert TABLE.billable("e119")
    assert TABLE.unknown(["E11.9", "E11", "R51", "I10"]) == ("E11", "R51")
    assert TABLE.under("R50") == ("R50.2", "R50.82", "R50.9")
    assert TABLE.under("I10") == ("I10",)
    assert TABLE.under("Q") == ()


def test_that_a_name_needs_neither_what_is_in_brackets_nor_the_encounter() -> None:
    stem = english_stemmer()
    assert term_words("Human immunodeficiency virus [HIV] disease (AIDS)", stem) == tuple(
        map(stem, ("human", "immunodeficiency", "virus", "disease"))
    )
    assert term_words("Fracture of rib, subsequent encounter for fracture with nonunion", stem) == ("fractur", "rib")
    assert term_words("Conditions classifiable to C50", stem) == ()
    assert "encount" not in note_words("at this encounter", stem)


def test_that_words_are_found_in_other_forms_and_by_synonyms(index: CodeIndex) -> None:
    assert found(index, "Fevers for two days.")[0] == "R50.9"
    assert found(index, "She felt feverish.")[0] == "R50.9"


def test_that_inclusion_terms_and_titles_lead_to_billable_codes(index: CodeIndex) -> None:
    assert found(index, "He has high blood pressure.")[0] == "I10"
    assert found(index, "Pyrexia, as of the whole body.")[0] == "R50.9"
    assert set(found(index, "type 2 diabetes mellitus")) <= CODES.keys()


def test_that_a_title_without_codes_below_it_leads_nowhere() -> None:
    index = CodeIndex(CodeTable({"A00.0": "Cholera"}, {"Q99": "Chromosome abnormalities"}), Synonyms())
    assert found(index, "Chromosome abnormalities were found.") == []


def test_that_a_name_is_meant_by_the_sentence_that_says_all_of_it(index: CodeIndex) -> None:
    codes = found(index, "There was pain in the left foot.")
    assert codes.index("M79.672") < codes.index("M79.671")
    apart = found(index, "The foot was examined. It was the left one. There was pain.")
    assert apart[0] == "R52"


def test_that_a_candidate_points_to_its_passage(index: CodeIndex) -> None:
    text = "  A man of 40 years.\nHe had fever. He had hypertension of essential kind."
    where = {c.code: text[c.start : c.end] for c in index.find(text)}
    assert where["R50.9"] == "He had fever."
    assert where["I10"] == "He had hypertension of essential kind."


def test_that_codes_that_differ_in_the_encounter_are_one_candidate(index: CodeIndex) -> None:
    assert found(index, "A fracture of the neck of the right femur.").count("S72.001A") == 1
    assert not {"S72.001D", "S72.001S"} & set(found(index, "A fracture of the neck of the right femur."))


def test_that_scores_fall_and_the_limit_holds(index: CodeIndex) -> None:
    text = "Fever and pain. Drug induced fever. Hypertension. Type 2 diabetes mellitus with hyperglycemia."
    candidates = index.find(text)
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)
    assert index.find(text, 2) == candidates[:2]
    assert max(sum(category(c.code) == of for c in candidates) for of in ("R50", "E11")) <= PER_CATEGORY


@pytest.mark.parametrize("text", ["", " ", "qqq zzz", "\n\n", "."])
def test_that_nothing_is_found_in_nothing(index: CodeIndex, text: str) -> None:
    assert index.find(text) == []
    assert index.evidence(text, ["I10"]) == {}


def test_that_evidence_is_of_the_code_or_else_of_its_category(index: CodeIndex) -> None:
    text = "Pain in the right foot. Fever was found. Nothing else."
    assert {code: text[slice(*place)] for code, place in index.evidence(text, ["R50.9", "R50.99", "I10"]).items()} == {
        "R50.9": "Fever was found.",
        "R50.99": "Fever was found.",
    }


def test_that_passages_cover_all_words_and_none_is_too_long() -> None:
    text = "word " * 700 + ". Next one.\n\n" + "x" * 2500 + "\n"
    pieces = [text[start:end] for start, end in passages(text)]
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece == piece.strip() and 0 < len(piece) <= LONGEST_PASSAGE for piece in pieces)


def test_that_the_bundled_table_is_whole() -> None:
    table = bundled_table()
    assert len(table.codes) == 72_621
    assert len(table.categories) == 1_911
    assert len(table.terms) == 11_611
    assert table.description("U07.1") == "COVID-19"
    assert len(set(table.codes.values())) == len(table.codes)  # a description names one code
    assert all(dotted(code) == code and category(code) in table.categories for code in table.codes)


def test_that_the_bundled_table_takes_little_room() -> None:
    assert sum(path.stat().st_size for path in Path(resource("icd10cm")).iterdir()) < 1 << 20


def test_that_common_findings_are_found_in_the_bundled_table() -> None:
    text = (
        "A smoker of 58 with arterial hypertension and diabetes mellitus. He had had fever and vomiting for days. "
        "Examination showed jaundice and hepatomegaly. He was treated for acute pancreatitis."
    )
    index = bundled_index()
    candidates = index.find(text, 20)
    assert {"I10", "R50", "R11", "R17", "R16", "K85"} <= {category(c.code) for c in candidates}
    assert all(index.table.billable(c.code) for c in candidates)
    assert index.find(text, 20) == candidates
