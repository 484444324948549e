# SPDX-License-Identifier: Apache-2.0
"""A split of notes that have none: whole groups, the same at every time, 80, 10 and 10 percent of the notes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ...errors import UserFacingError, disk_fault
from ...files import beside, make_folder, open_private, sync_folder, write_durably
from ...scores import TASKS, TaskName
from ..notes import Note
from ..readers.folder import named_apart
from ..readers.record import Record
from .values import SPLITS, Split

HELD_BACK: Final = 0.1
"""The share of the notes that is for validation, and again for test."""

_HELD: Final[tuple[tuple[Split, int], ...]] = (("test", 3), ("validation", 2))  # with the fewest groups that allow it


def assigned(groups: Sequence[str], labels: Sequence[Collection[TaskName]] | None = None) -> list[Split]:
    """The split of each note by its group, none of which is parted; in the order of the groups' hashes.

    Of two groups or more, one at least is for validation; of three or more, one at least for test. `labels`: the tasks
    that each note has labels for. Where any has, this holds for the groups with labels of each task, rarest first, and
    the others are for training: what is held back is there to score with.
    """
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda group: hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest())
    of: dict[str, Split] = {}
    for having in _by_task(groups, labels or ()) or [sizes]:
        room = round(having.total() * HELD_BACK)
        for split, least in _HELD:
            left = max(room, 1) - sum(having[group] for group in having if of.get(group) == split)
            free = [group for group in order if group in having and group not in of] if len(having) >= least else []
            for group in free[:-1]:  # one at least to train on
                if sizes[group] <= left:
                    of[group] = split
                    left -= sizes[group]
            held = any(of.get(group) == split for group in having)
            if len(free) > 1 and not held:  # all are larger than that
                of[min(free, key=lambda group: sizes[group])] = split
    if labels and "validation" not in of.values() and len(sizes) > 1:
        return assigned(groups)
    return [of.get(group, "train") for group in groups]


def _by_task(groups: Sequence[str], labels: Sequence[Collection[TaskName]]) -> list[Counter[str]]:
    """Counts for each task, rarest first, the groups with labels of it and how many of their notes have some."""
    found: defaultdict[TaskName, Counter[str]] = defaultdict(Counter)
    for group, tasks in zip(groups, labels, strict=False):
        for task in tasks:
            found[task][group] += 1
    return [found[task] for task in sorted(found, key=lambda task: (len(found[task]), TASKS.index(task)))]


def write_split(
    records: Iterable[Record], splits: Sequence[Split], folder: Path, types_file: Path | None = None
) -> dict[Split, int]:
    """Writes the notes as train.jsonl, validation.jsonl and test.jsonl; all of them or none. Returns their numbers.

    A `types_file` is copied beside them, unless the folder has one.

    `splits` are of the notes among the records, in their order. Notes of different files may have the same id: the
    later ones get another. Raises UserFacingError: `clinical.split_there`, or what a full or broken disk raises.
    """
    make_folder(folder)
    paths = {split: folder / f"{split}.jsonl" for split in SPLITS}
    if there := [path.name for path in paths.values() if path.exists()]:
        raise UserFacingError("clinical.split_there", name=folder.name, file=there[0])
    partial = {split: beside(path) for split, path in paths.items()}
    try:
        if types_file is not None and not (copied := folder / types_file.name).exists():
            write_durably(copied, types_file.read_bytes())
        counts = _write(named_apart(record.note for record in records if record.note is not None), splits, partial)
        for split in SPLITS:
            if counts[split]:
                partial[split].replace(paths[split])
        sync_folder(folder)
    except OSError as error:
        raise disk_fault(error, folder) from error
    finally:
        for path in partial.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return {split: counts[split] for split in SPLITS}


def _write(notes: Iterator[Note], splits: Sequence[Split], paths: dict[Split, Path]) -> Counter[Split]:
    counts: Counter[Split] = Counter()
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(open_private(path)) for split, path in paths.items()}
        for note, split in zip(notes, splits, strict=True):
            files[split].write(note.model_dump_json(exclude_defaults=True).encode() + b"\n")
            counts[split] += 1
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return counts
