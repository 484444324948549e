# SPDX-License-Identifier: Apache-2.0
"""Malformed BRAT folders, BioC, PubTator, DocBin and table files: each is told by its own sentence, file and row."""

from __future__ import annotations

import contextlib
import gzip
import json
import pickle
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical.readers import Reader, reader_for
from fedmed_desktop.clinical.readers.bioc import BiocJsonReader, BiocXmlReader
from fedmed_desktop.clinical.readers.brat import BratReader
from fedmed_desktop.clinical.readers.docbin import DocBinReader
from fedmed_desktop.clinical.readers.pubtator import PubtatorReader
from fedmed_desktop.clinical.readers.record import Record
from fedmed_desktop.clinical.readers.tables import CsvReader, ExcelReader, ParquetReader
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told
from fedmed_desktop.wording.remarks import remark_sentence
from tests.parts.formats import write_workbook

Write = Callable[[Path], None]
SECRET = "Mrs Secret"


def file(data: bytes | str) -> Write:
    return lambda path: path.write_bytes(data.encode() if isinstance(data, str) else data) and None


def brat(text: bytes | str | None, annotation: bytes | str | None) -> Write:
    def write(path: Path) -> None:
        path.mkdir()
        for name, data in (("d.txt", text), ("d.ann", annotation)):
            if data is not None:
                file(data)(path / name)

    return write


def bioc_json(*documents: Any) -> Write:
    return file(json.dumps({"documents": list(documents)}))


def passage(**changes: Any) -> dict[str, Any]:
    return {"id": "d", "passages": [{"offset": 0, "text": f"{SECRET} has pain."} | changes]}


def passages(*parts: tuple[int, str]) -> dict[str, Any]:
    return {"passages": [{"offset": offset, "text": text} for offset, text in parts]}


def mention(start: object, length: object, text: str | None = None) -> dict[str, Any]:
    return {"id": "1", "infons": {"type": "p"}, "text": text, "locations": [{"offset": start, "length": length}]}


def xml(body: str, before: str = "") -> Write:
    return file(f'<?xml version="1.0"?>{before}<collection><source/>{body}</collection>')


def xml_document(inside: str) -> str:
    return f"<document><id>d</id><passage>{inside}</passage></document>"


def parquet(**columns: Any) -> Write:
    def write(path: Path) -> None:
        import polars

        polars.DataFrame(columns).write_parquet(path)

    return write


def docbin(path: Path) -> None:
    from spacy.tokens import Doc, DocBin, Span
    from spacy.vocab import Vocab

    doc = Doc(Vocab(), words=["a", "pain", "x"])
    doc.spans["sc"] = [Span(doc, 0, 2, label="p")]
    doc.ents = [Span(doc, 1, 2, label="q")]
    DocBin(docs=[doc]).to_disk(path)


def workbook(**sheets: list[list[str | float | None]]) -> Write:
    return lambda path: write_workbook(path, sheets)


GOOD = "<document><id>g</id><passage><offset>0</offset><text>fine</text></passage></document>"
BOMB = '<!DOCTYPE collection [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE collection [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
TITLE = f"1|t|{SECRET} has pain.\n"

# name, what is written, row (None: the document or folder itself; "file": nothing of the file can be read), sentence
CASES: list[tuple[str, Write, int | str | None, str]] = [
    ("brat", brat(SECRET, "T1 Drug 0 3 Mrs\n"), None, "line 1: there is no tab after its first word"),
    ("brat", brat(SECRET, "\tDrug 0 3\tMrs\n"), None, "line 1: there is no tab after its first word"),
    ("brat", brat(SECRET, "T1\tDrug 0\tMrs\n"), None, "line 1: it is not a type and two offsets"),
    ("brat", brat(SECRET, "\nT1\tDrug 0 3;5\tMrs\n"), None, "line 2: it is not a type and two offsets"),
    ("brat", brat(SECRET, "T1\tDrug 0 3\tMr.\n"), None, "entity 1, offsets 0 to 3: the characters there are not"),
    ("brat", brat(SECRET, "T1\tDrug 0 99\tMrs\n"), None, "offsets 0 to 99: outside the text"),
    ("brat", brat(SECRET, "T1\tDrug 3 0\tMrs\n"), None, "offsets 3 to 0: outside the text .* or not in order"),
    ("brat", brat(SECRET, "T1\tDrug -1 3\tMrs\n"), None, "offsets -1 to 3: outside the text"),
    ("brat", brat(SECRET, "T1\tD 0 3\tMrs\nT1\tD 4 10\tSecret\n"), None, "line 2: its id is there twice"),
    ("brat", brat(SECRET, "T1\tD 0 3\tMrs\nR1\tof Arg1:T1\n"), None, "line 2: it is not a relation's type and its two"),
    ("brat", brat(SECRET, "T1\tD 0 3\tMrs\nR1\tof Arg1:T1 Arg2:T9\n"), None, "line 2: it points to a mention or event"),
    ("brat", brat(SECRET, "T1\tD 0 3\tMrs\nE1\tD\n"), None, "line 2: it is not an event's type with its trigger"),
    ("brat", brat(SECRET, "X1\tD 0 3\tMrs\n"), None, "line 1: it begins with none of T, R, E"),
    ("brat", brat(None, "T1\tD 0 3\tMrs\n"), None, "there is no d.txt beside it"),
    ("brat", brat(" \n", ""), None, "the text is empty"),
    ("brat", brat(b"\x00\x01\x02pain" * 9, ""), None, "zero or control bytes"),
    ("brat", brat(bytes(2**25), ""), None, "longer than 16 MiB"),
    ("n.xml", xml(GOOD + xml_document("<text>no offset</text>")), 2, "an offset is missing"),
    ("n.xml", xml(xml_document("<offset>one</offset><text>x</text>")), 1, "an offset or a length is not a whole"),
    ("n.xml", xml(xml_document("<offset>0</offset><text> </text>")), 1, "the text is empty"),
    ("n.xml", file(f"<collection>{GOOD}<document>"), 2, "not valid XML at line 1"),
    ("n.xml", xml(GOOD, BOMB), "file", "declares XML entities"),
    ("n.xml", xml(xml_document("<offset>0</offset><text>&x;</text>"), OUTSIDE), "file", "declares XML entities"),
    ("n.xml", file(f"<other><collection>{GOOD}</collection></other>"), "file", "first element is not <collection>"),
    ("n.xml", xml(GOOD + GOOD), 2, "document 1 has the same id"),
    ("n.json", bioc_json(passage(), passage(annotations=[mention(0, 3, "Mr.")])), 2, "the characters there are not"),
    ("n.json", bioc_json(passage(annotations=[mention("0", 3)])), 1, "annotation 1 has no offset or length"),
    ("n.json", bioc_json(passage(), 7), 2, "a document is not a JSON object"),
    ("n.json", bioc_json({"id": "1", "passages": [{"text": SECRET}]}), 1, "it lacks 'offset'"),
    ("n.json", bioc_json(passages((0, "ab"), (1, "c"))), 1, "passage at offset 1 begins before"),
    ("n.json", bioc_json(passages((10**12, "ab"))), 1, "longer than 16 million characters"),
    ("n.json", file('{"documents": {"passages": 1}}'), 1, "its documents are not a list"),
    ("n.json", file('[{"documents": []}, {"id": "1", "x": {"passages": 1}}]'), 1, "it has no passages"),
    ("n.txt", file(TITLE + "1\t0\t3\tMr.\tD\tX\n"), 1, "offsets 0 to 3: the characters there are not"),
    ("n.txt", file(TITLE + "1 0 3 Mrs D X\n"), 1, "line 2: it is neither .* nor cells with tabs"),
    ("n.txt", file(TITLE + "2\t0\t3\tMrs\tD\tX\n"), 1, "line 2: its id is not the document's"),
    ("n.txt", file(f"{TITLE}\n2|a|Only\n"), 2, r"line 3: there is no \|t\| line of this document"),
    ("n.txt", file(TITLE + "1|t|Again\n"), 1, r"line 2: there is a \|t\| line already"),
    ("n.txt", file(TITLE + "1\t0\tthree\tMrs\tD\tX\n"), 1, "line 2: it is not start, end, mention and type"),
    ("n.txt", file(TITLE + "1\t0\t3\tMrs\n"), 1, "line 2: it is neither a mention nor a relation"),
    ("n.txt", file(f"{TITLE}\n{TITLE}"), 2, "document 1 has the same id"),
    ("n.txt", file(TITLE.encode() + b"1|a|\xff\xfe\n"), 1, "line 2: byte 5 is not UTF-8"),
    ("n.csv", file(f"id,text\n1,{SECRET}\n2,{SECRET},more\n"), 3, "it has 3 cells, but the header has 2"),
    ("n.csv", file(f"id,text\n1,{SECRET}\n2\n"), 3, "it has 1 cells, but the header has 2"),
    ("n.csv", file(f'id,text\n1,"{SECRET}\n2,b\n'), 2, "a quotation mark that opens in it is never closed"),
    ("n.csv", file(f'id,text\n1,"{SECRET}" said\n2,b\n'), 2, "a quotation mark inside a cell is not doubled"),
    ("n.csv", file("id,text\n1,a\n1,b\n"), 3, "row 2 has the same id"),
    ("n.csv", file("id,text\n1, \n"), 2, "the text is empty"),
    ("n.csv", file(f"id,text\n1,{'x' * (16 * 2**20)}\n2,b\n"), 2, "longer than 16 million characters; a"),
    ("n.csv", file("id,value\n1,a\n"), "file", r"None of the columns of n.csv .* \(found: id, value\)"),
    ("n.csv", file(f"{SECRET} was born 1.2.1950,ward 7\nMr X,ward 8\n"), "file", "first row does not look like names"),
    ("n.csv", file("id,text\n1,a\x00b\n"), "file", "it holds zero bytes"),
    ("n.csv", file(" \n\n"), "file", "it is empty"),
    ("n.csv", file(b"\xef\xbb\xbfid,text\n1,\x80\n"), "file", "a byte near its beginning is not UTF-8"),
    ("n.csv", file(b"\xff\xfei\x00d\x00,\x00\x00\xd8x\x00"), "file", "a byte near its beginning is not UTF-16"),
    ("n.csv", file(gzip.compress(b"id,text\n")), "file", "compressed with gzip, but its name"),
    ("n.csv.gz", file(gzip.compress(b"id,text\n1,pain\n" * 999, mtime=0)[:-20]), "file", "cut off or damaged"),
    ("n.csv", file("question,options,answer\nWhich?,a|b,z\n"), 2, "its answer is none of its options"),
    ("n.csv", file('text,entities\npain,"[{""start"": 0}]"\n'), 2, "entity 1 has no start, end and type"),
    (
        "n.csv",
        file('text,entities\npain,"[{""start"": 0, ""end"": 4, ""type"": ""x"", ""fragments"": [1]}]"\n'),
        2,
        "the fragments of entity 1 are not pairs of offsets",
    ),
    ("n.csv", file("text,entities\npain,[{\n"), 2, "its entities are not valid JSON"),
    ("n.csv", file("text,relations\npain,\"{}\"\nx,3\n"), 3, "its relations are not a list of objects"),
    ("n.xlsx", file(b"PK\x03\x04 not a workbook"), "file", "it is not an Excel workbook, or damaged"),
    ("n.xlsx", workbook(A=[["x"], [1]], B=[["y"]]), "file", r"found: x\)"),
    ("n.xlsx", workbook(A=[], B=[]), "file", "its sheets are empty"),
    ("n.xlsx", workbook(A=[["id", "text"], [], [1, "a"], [1.0, "b"]]), 4, "row 3 has the same id"),
    ("n.parquet", file(b"PAR1 not a table PAR1"), "file", "it is not a Parquet file, or damaged"),
    ("n.parquet", file(b"PAR1"), "file", "it is empty or cut off"),
    ("n.parquet", parquet(value=[1]), "file", r"found: value\)"),
    ("n.parquet", parquet(text=["a", None]), 2, "the text is empty"),
    ("n.parquet", parquet(text=[b"\xff"]), 1, "a cell holds bytes, not text"),
    ("n.parquet", parquet(text=["a"], summary=[{"parts": ["b", "c"]}]), 1, "a cell holds several values, not text"),
    ("n.parquet", parquet(text=[["a", "b"]]), 1, "a cell holds several values, not text"),
    ("n.parquet", parquet(text=["a"], options=[[{"key": "A"}]]), 1, "a cell holds several values, not text"),
    ("n.spacy", file(pickle.dumps({"x": SECRET})), "file", "it is a pickle, which could run any program"),
    ("n.spacy", file(SECRET), "file", "it is not a DocBin"),
    ("n.spacy", file(zlib.compress(b"\x81\xa1x\x01")), "file", "it is not a DocBin, or damaged"),
    ("n.spacy", file(zlib.compress(bytes(2000))[:-8]), "file", "it is cut off"),
]  # fmt: skip


def refused(records: list[Record]) -> list[tuple[str, int | None, str]]:
    """File, row and sentence of each row that is refused."""
    return [(record.file, record.row, remark_sentence(why)) for record in records if (why := record.refusal)]


@pytest.mark.parametrize(("name", "write", "row", "words"), CASES, ids=[f"{one[0]}-{one[3][:40]}" for one in CASES])
def test_that_a_malformed_file_is_told_with_its_row_and_none_of_its_words(
    name: str, write: Write, row: int | str | None, words: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    if row == "file":
        with pytest.raises(UserFacingError) as caught:
            list(reader_for(tmp_path / name).read(tmp_path / name))
        said = told(caught.value)
        assert name in said
    else:
        ((where, at, said),) = refused(list(reader_for(tmp_path / name).read(tmp_path / name)))
        assert at == row
        assert where == name or (name == "brat" and where in ("d.txt", "d.ann"))
    assert re.search(words, said), said
    assert "Secret" not in said


def test_that_there_are_at_least_sixty_each_told_by_a_sentence_and_by_row_or_file() -> None:
    assert len({(name, words) for name, _, _, words in CASES}) >= 60
    assert all(words and (row == "file" or row or name == "brat") for name, _, row, words in CASES)


EXAMPLES: dict[str, bytes] = {
    "n.xml": f'<?xml version="1.0"?><collection>{GOOD}{GOOD}</collection>'.encode(),
    "n.json": json.dumps(
        {"documents": [passage(annotations=[mention(0, 3, "Mrs")], relations=[{"nodes": []}])]}
    ).encode(),
    "n.txt": f"{TITLE}1|a|More.\n1\t0\t3\tMrs\tD\tX|Y\n1\tCID\tX\tY\n".encode(),
    "n.csv": b'id,text,codes,options,answer,entities\n1,"a ""b""",E11.9;I10,a|b,a,"[{""start"":0}]"\n2,b,,,,\n',
    "brat": b"T1\tD 0 3\tMrs\nT2\tX 0 1;2 3\tM s\nR1\tr Arg1:T1 Arg2:T2\nE1\tX:T2 A:T1\n#1\tN T1\tx\n",
}
READ_AS: dict[str, Reader] = {
    "n.xml": BiocXmlReader(),
    "n.json": BiocJsonReader(),
    "n.txt": PubtatorReader(),
    "n.csv": CsvReader(),
    "brat": BratReader(),
}
WRITTEN: dict[str, tuple[Reader, Write]] = {
    "n.parquet": (ParquetReader(), parquet(text=["a", "b"], codes=[["E11.9"], None])),
    "n.xlsx": (ExcelReader(), workbook(A=[["id", "text"], [1, "a"], [2, "b"]])),
    "n.spacy": (DocBinReader(), docbin),
}


@pytest.mark.parametrize("name", [*EXAMPLES, *WRITTEN])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 3), st.binary(max_size=3)), min_size=1))
def test_that_damage_anywhere_is_an_outcome_and_never_a_crash(
    name: str, changes: list[tuple[int, int, bytes]], tmp_path: Path
) -> None:
    path, whole = tmp_path / name, tmp_path / f"whole-{name}"
    reader = WRITTEN[name][0] if name in WRITTEN else READ_AS[name]
    if name in WRITTEN and not whole.exists():
        WRITTEN[name][1](whole)
    damaged = bytearray(whole.read_bytes() if name in WRITTEN else EXAMPLES[name])
    damaged = bytearray(zlib.decompress(damaged)) if name == "n.spacy" else damaged
    for place, lost, new in changes:
        at = place % (len(damaged) + 1)
        damaged[at : at + lost] = new
    if name == "brat":
        path.mkdir(exist_ok=True)
        file(SECRET)(path / "d.txt")
        file(bytes(damaged))(path / "d.ann")
    else:
        file(zlib.compress(damaged) if name == "n.spacy" else bytes(damaged))(path)
    with contextlib.suppress(UserFacingError):
        for record in reader.read(path):
            assert record.note or record.refusal


def test_that_rows_after_a_bad_one_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text('id,text\n1,a\n2,"b" c\n3,d,e\n4,f\n')
    records = list(reader_for(tmp_path / "n.csv").read(tmp_path / "n.csv"))
    assert [(record.row, record.note is not None) for record in records] == [
        (2, True),
        (3, False),
        (4, False),
        (5, True),
    ]


@pytest.mark.parametrize("honest", [True, False])
def test_that_a_bomb_of_a_workbook_is_refused_before_it_is_unpacked(
    honest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmed_desktop.clinical.readers.tables._MOST_UNPACKED", 100_000)
    write_workbook(tmp_path / "n.xlsx", {"A": [["text"], ["x" * 200_000]]})
    if not honest:  # each part says that it is of ten bytes
        data = bytearray((tmp_path / "n.xlsx").read_bytes())
        for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
            for found in re.finditer(re.escape(mark), bytes(data)):
                data[found.start() + place : found.start() + place + 4] = (10).to_bytes(4, "little")
        (tmp_path / "n.xlsx").write_bytes(data)
    with pytest.raises(UserFacingError, match="unpacked it is over"):
        list(reader_for(tmp_path / "n.xlsx").read(tmp_path / "n.xlsx"))


def test_that_what_is_missing_for_docbin_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    (tmp_path / "n.spacy").write_bytes(zlib.compress(b"\x80"))
    with pytest.raises(UserFacingError) as caught:
        list(reader_for(tmp_path / "n.spacy").read(tmp_path / "n.spacy"))
    assert "needs the package spacy" in told(caught.value)
