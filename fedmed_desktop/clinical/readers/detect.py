# SPDX-License-Identifier: Apache-2.0
"""Choice of the reader that fits a file or folder."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Final

from ...errors import UserFacingError
from .bioc import BiocJsonReader, BiocXmlReader
from .brat import BratReader
from .conll import SUFFIXES as CONLL_SUFFIXES
from .conll import Conll
from .docbin import DocBinReader
from .doccano import DOCCANO
from .json_values import SUFFIXES as JSON_SUFFIXES
from .jsonl import OWN
from .label_studio import LABEL_STUDIO
from .plain import SUFFIXES as PLAIN_SUFFIXES
from .plain import PlainText
from .prodigy import PRODIGY
from .pubtator import PubtatorReader
from .record import Reader
from .rows import head_of
from .shape import JsonReader
from .tables import TABLE_SUFFIXES, CsvReader, ExcelReader, ParquetReader

_SHAPES: Final = (LABEL_STUDIO, PRODIGY, DOCCANO, OWN)

READERS: Final[tuple[Reader, ...]] = (
    BratReader(),
    BiocXmlReader(),
    BiocJsonReader(),
    *(JsonReader(shape, _SHAPES) for shape in _SHAPES),
    PubtatorReader(),
    Conll(),
    CsvReader(),
    ExcelReader(),
    ParquetReader(),
    DocBinReader(),
    PlainText(),
)
"""The first that fits is taken: those that know their files by more than a name come first."""

SUFFIXES: Final = (
    *JSON_SUFFIXES,
    *TABLE_SUFFIXES,
    *(".xml", ".xml.gz", ".bioc", ".pubtator", ".pubtator.gz", ".spacy"),
    *(f"{suffix}{packed}" for suffix in CONLL_SUFFIXES for packed in ("", ".gz")),
    *PLAIN_SUFFIXES,
)
"""The endings of files that may hold notes; what a split is looked for by in a site's folder."""

_LOOKED_AT: Final = 1000


def reader_for(path: Path) -> Reader:
    """The reader of a file or folder. Raises UserFacingError: `clinical.notes_missing`, `.notes_format`."""
    if not path.exists():
        raise UserFacingError("clinical.notes_missing", name=path.name)
    head = b"" if path.is_dir() else head_of(path)
    found = next((reader for reader in READERS if reader.fits(path, head)), None)
    if found is None:
        formats = ", ".join(dict.fromkeys(reader.name for reader in READERS))
        raise UserFacingError("clinical.notes_format", name=path.name, seen=_seen(path, head), formats=formats)
    return found


def _seen(path: Path, head: bytes) -> str:
    """Words on what is there, to end a sentence."""
    if path.is_dir():
        endings = Counter(one.suffix or "no ending" for one in islice(path.iterdir(), _LOOKED_AT) if one.is_file())
        files = ", ".join(f"{count} with {ending}" for ending, count in endings.most_common(3))
        return f"it is a folder of files ({files})" if files else "it is a folder without files"
    if not head:
        return "the file is empty"
    if b"\x00" in head:
        return "it is not a text file"
    return f"its name ends in {path.suffix}" if path.suffix else "its name has no ending"
