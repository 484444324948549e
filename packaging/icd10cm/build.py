# SPDX-License-Identifier: Apache-2.0
"""Makes the bundled table of ICD-10-CM: billable codes, categories and inclusion terms as compressed tables.

    python packaging/icd10cm/build.py --data DIR --out resources/icd10cm

DIR holds `icd10cm.jsonl.gz`, `icd10cm_categories.jsonl.gz` and `icd10cm_text2code.jsonl.gz`, made from the order file
and the tabular XML of the release. The same input gives the same bytes. Writes `codes.tsv.gz`, `categories.tsv.gz` and
`terms.tsv.gz`: a code, a tab and a text in each line, in the order of the source. Beside them stands `synonyms.tsv`,
which is written by hand.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TABLES: Final = (
    ("icd10cm", "code", "description", "codes"),
    ("icd10cm_categories", "category", "description", "categories"),
    ("icd10cm_text2code", "code", "text", "terms"),
)


def build(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for source, code, text, name in TABLES:
        with gzip.open(data / f"{source}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [(str(row[code]), " ".join(str(row[text]).split())) for row in map(json.loads, file)]
        (out / f"{name}.tsv.gz").write_bytes(compressed(rows))


def compressed(rows: Iterable[tuple[str, str]]) -> bytes:
    # Without a time stamp, so that the bytes say whether the content changed.
    return gzip.compress("".join(f"{code}\t{text}\n" for code, text in rows).encode(), 9, mtime=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    build(options.data, options.out)
