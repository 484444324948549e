# SPDX-License-Identifier: Apache-2.0
"""Large files and folders are read in memory that does not grow with them, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MEGABYTE = 2**20
SENTENCE = 'The patient, "J", takes aspirin 5 mg; no pain was seen\tat rest or in motion. '
# Sampled: the largest size that the system knows of a process is that of its parent too, which has written the file.
MEASURE = """
import json, sys, psutil
from pathlib import Path
from fedmed_desktop.clinical.readers import reader_for
if sys.argv[1].endswith(".parquet"):
    import polars
size = psutil.Process().memory_info
before = most = size().rss
kept = characters = mentions = 0
path = Path(sys.argv[1])
for number, record in enumerate(reader_for(path).read(path)):
    kept += record.note is not None
    characters += len(record.note.text) if record.note else 0
    mentions += len(record.note.entities) if record.note else 0
    if number % 50 == 0:
        most = max(most, size().rss)
print(json.dumps({"kept": kept, "characters": characters, "mentions": mentions, "grown": most - before}))
"""


def measured(path: Path) -> dict[str, int]:
    """How many notes, characters and mentions are read, and by how many bytes the process grew meanwhile."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout)
    return result


def csv_rows(size: int) -> Iterator[str]:
    yield "note_id,subject_id,text\n"
    text = (SENTENCE * 40).replace('"', '""')
    written = number = 0
    while written < size:
        row = f'{number},{number % 97},"{number}: {text}\nEnd."\n'
        written += len(row)
        number += 1
        yield row


def write_csv(path: Path, size: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_rows(size))


def write_parquet(path: Path, size: int) -> None:
    """Notes of digits that do not compress, so that the file is as large as they are, 50,000 rows in a group."""
    import polars

    rows = polars.LazyFrame({"note_id": range(size // 3000)})
    columns = [polars.col("note_id").hash(seed).cast(polars.String) for seed in range(150)]
    rows = rows.with_columns(text=polars.concat_str(polars.lit(SENTENCE), *columns))
    rows.sink_parquet(path, compression="snappy", row_group_size=50_000)


@pytest.mark.slow
def test_that_a_folder_of_ten_thousand_files_is_read_in_bounded_memory(tmp_path: Path) -> None:
    for number in range(5000):
        place = tmp_path / f"{number % 10}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(SENTENCE * 10)
        (place / f"{number}.ann").write_text("T1\tdrug 25 32\taspirin\n")
    result = measured(tmp_path)
    assert (result["kept"], result["mentions"]) == (5000, 5000)
    assert result["grown"] < 40 * MEGABYTE


@pytest.mark.parametrize(
    ("size", "write", "name"),
    [
        (60 * MEGABYTE, write_csv, "n.csv"),
        pytest.param(1024 * MEGABYTE, write_csv, "n.csv", marks=pytest.mark.slow),
        (60 * MEGABYTE, write_parquet, "n.parquet"),
        pytest.param(1024 * MEGABYTE, write_parquet, "n.parquet", marks=pytest.mark.slow),
    ],
)
def test_that_a_large_table_is_read_in_bounded_memory(
    size: int, write: Callable[[Path, int], None], name: str, tmp_path: Path
) -> None:
    write(tmp_path / name, size)
    result = measured(tmp_path / name)
    (tmp_path / name).unlink()
    assert result["characters"] > 0.9 * size
    assert result["grown"] < 150 * MEGABYTE
