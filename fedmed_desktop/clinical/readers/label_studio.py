# SPDX-License-Identifier: Apache-2.0
"""Tasks of Label Studio: its JSON export with all that annotators did, and JSON-MIN with the labels alone.

Of a task that several people annotated, the annotation marked as ground truth is read, or else the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeGuard

from .json_values import Row
from .mentions import ENTITIES, Link, Marked
from .offsets import Mention
from .record import Refused, Remark
from .shape import Shape, fields_of, listed, name_of

_LABELS: Final = ("labels", "hypertextlabels")
_READ: Final = (
    "annotations", "data", "file_upload", "drafts", "predictions", "created_at", "updated_at", "inner_id", "project",
    "total_annotations", "cancelled_annotations", "total_predictions", "comment_count", "unresolved_comment_count",
    "last_comment_updated_at", "updated_by", "comment_authors", "annotation_id", "annotator", "lead_time", "result",
    "allow_skip", "state", "label",
)  # fmt: skip


def _fits(row: Row) -> bool:
    return _is_full(row) or "annotation_id" in row or ("lead_time" in row and "annotator" in row)


def _is_full(row: Row) -> bool:
    """True for the export with everything; `completions` is what annotations were called before."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations", row.get("completions")), list)


def _marked(row: Row, number: int) -> Marked:
    if not _is_full(row):
        return _minimal(row, number)
    data, key = row["data"], _key_of_text(row["data"])
    results, remarks = _results(row.get("annotations", row.get("completions")))
    regions = [one for one in results if _type_of(one) in _LABELS]
    links = [one for one in results if _type_of(one) == "relation"]
    if others := len(results) - len(regions) - len(links):
        remarks.append(Remark("annotation_not_read", "other controls than labels and relations", others))
    text = data[key]
    mentions = _told_apart(one for at, region in enumerate(regions, 1) for one in _mentions(region, at, text))
    note = {**fields_of(data, "answer", "options"), "id": name_of(row.get("id", number)), "text": text}
    relations = [link for at, one in enumerate(links, 1) for link in _links(one, at)]
    # An annotation that says something else of the text, such as its class, need not have looked for mentions.
    empty = bool(row.get("annotations", row.get("completions"))) and not results
    return Marked(note, mentions, relations, (), remarks, ENTITIES if empty else ())


def _minimal(row: Row, number: int) -> Marked:
    """JSON-MIN has a row for each annotation of a task, and no ids of what is marked."""
    key = _key_of_text({name: value for name, value in row.items() if name not in ("created_at", "updated_at")})
    marks = [one for value in row.values() if _is_marks(value) for one in value]
    mentions = [mention for at, mark in enumerate(marks, 1) for mention in _mentions({"value": mark}, at, row[key])]
    fields = fields_of(row, "answer", "options")
    task = str(name_of(row.get("id", number)))
    name = f"{task}.{row['annotation_id']}" if "annotation_id" in row else task
    return Marked({"document": task, **fields, "id": name, "text": row[key]}, mentions)


def _is_marks(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "start" in one for one in value)


def _key_of_text(data: Row) -> str:
    """`text`, or the only one of the task's values that is a string."""
    if "text" in data:
        return "text"
    strings = [key for key, value in data.items() if isinstance(value, str)]
    if len(strings) != 1:
        raise Refused("malformed", f"it is not clear which is the text; found {listed(sorted(data)) or 'no keys'}")
    return strings[0]


def _results(annotations: object) -> tuple[list[dict[str, Any]], list[Remark]]:
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise Refused("malformed", "'annotations' is not a list of objects")
    valid = [one for one in annotations if not one.get("was_cancelled")]
    if annotations and not valid:
        raise Refused("not_accepted", "skipped by its annotators")
    if not valid:
        return [], []
    chosen = next((one for one in valid if one.get("ground_truth")), valid[0])
    result = chosen.get("result", [])
    if not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
        raise Refused("malformed", "'result' is not a list of objects")
    more = len(valid) - 1
    return result, [Remark("annotation_not_read", "by further annotators", more)] if more else []


def _type_of(result: dict[str, Any]) -> object:
    """Older versions leave the type out of what is marked."""
    value = result.get("value")
    found = next((key for key in _LABELS if isinstance(value, dict) and key in value), None)
    return result.get("type", found)


def _mentions(region: dict[str, Any], number: int, text: object) -> Iterator[Mention]:
    """A region with several labels is as many mentions. Its line ends are written as a backslash and an n."""
    value = region.get("value")
    match value:
        case {"start": int(start), "end": int(end), **more}:
            labels = next((more[key] for key in _LABELS if key in more), None)
            words = more.get("text")
            name = str(name_of(region.get("id", f"T{number}")))
            if _are_labels(labels):
                if isinstance(words, str) and isinstance(text, str) and "\\n" not in text:
                    words = words.replace("\\n", "\n")
                for at, label in enumerate(labels):
                    known = words if isinstance(words, str) else None
                    yield Mention(name if at == 0 else f"{name}/{at + 1}", start, end, label, known)
                return
    raise Refused("malformed", f"region {number} lacks a number start or end, or its labels")


def _told_apart(mentions: Iterable[Mention]) -> list[Mention]:
    """The mentions, those of a region that two controls have labelled with ids of their own; the first keeps it."""
    times: Counter[str] = Counter()
    found = []
    for mention in mentions:
        times[mention.id] += 1
        again = times[mention.id]
        found.append(mention if again == 1 else replace(mention, id=f"{mention.id}/+{again}"))
    return found


def _are_labels(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def _links(relation: dict[str, Any], number: int) -> Iterator[Link]:
    labels = relation.get("labels") or ["related"]
    match relation:
        case {"from_id": str(head), "to_id": str(tail)} if _are_labels(labels):
            direction = relation.get("direction", "right")
            for label in labels:
                if direction in ("right", "bi"):
                    yield Link(head, tail, label)
                if direction in ("left", "bi"):
                    yield Link(tail, head, label)
            return
    raise Refused("malformed", f"relation {number} lacks from_id or to_id, or its labels are no list of words")


LABEL_STUDIO: Final = Shape("Label Studio", _fits, _marked, frozenset(_READ))
