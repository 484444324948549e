# SPDX-License-Identifier: Apache-2.0
"""Validation of values from a file; the error names the first wrong key.

For specifications and other hand-written files with a `method` table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..errors import UserFacingError
from .methods import METHODS
from .values import Frozen

Value = TypeVar("Value", bound=Frozen)

# Messages of pydantic that speak of input and Python types, in terms of the file.
_WHOLE, _NUMBER, _WORDS, _SWITCH = "give a whole number", "give a number", 'give words in " "', "give true or false"
_PLAIN: Final[Mapping[str, str]] = {
    "greater_than_equal": "it must be {ge} or more",
    "greater_than": "it must be more than {gt:g}",
    "less_than_equal": "it must be {le} or less",
    "less_than": "it must be less than {lt}",
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": "give a finite number",
    "string_type": _WORDS,
    "string_too_short": "it must not be empty",
    "string_too_long": "it can have {max_length} characters at most",
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "literal_error": "it must be {expected}",
    "too_short": "it has {actual_length} entries, and needs {min_length} or more",
    "too_long": "it has {actual_length} entries, and can have {max_length} at most",
    "missing": "it is missing",
    "tuple_type": "give a list, in [ ]",
    "dict_type": "give a table, in {{ }} or under a heading of its own",
    "model_type": "give a table, in {{ }} or under a heading of its own",
    "model_attributes_type": 'give a table, in {{ }}, such as {{ name = "fedavg" }}',
    "union_tag_not_found": 'the table needs a name, such as name = "fedavg"',
    "union_tag_invalid": "there is no {tag!r}; known here: {expected_tags}",
}


def validated(model: type[Value], data: Mapping[str, object], where: str, kind: str) -> Value:
    """The validated value; raises UserFacingError with `where` and the wrong key.

    `kind` says what the file holds, with an article. A validator can give its own error by raising a
    PydanticCustomError with that error's code; `part` in its context names the part of the file.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if "." in (code := first["type"]):  # one of ours: pydantic's own have no dot
            context = dict(first.get("ctx", {}))
            part = context.pop("part", "")
            raise UserFacingError(code, **{**context, "path": f"{where}, {part}" if part else where}) from None
        reason = _reason(first, model, kind)
        raise UserFacingError("spec.wrong_key", path=where, key=_key(first["loc"]), reason=reason) from None


def _key(place: Sequence[str | int]) -> str:
    """The key as written in the file; list entries count from 1."""
    shown = [str(part + 1) if isinstance(part, int) else part for part in place if not _is_tag(part, place)]
    return ".".join(shown) or "(whole file)"


def _is_tag(part: str | int, place: Sequence[str | int]) -> bool:
    """Tells whether this part is the method's name, which pydantic adds to the path but the file does not have."""
    return part in METHODS and "method" in place and place[place.index(part) - 1] == "method"


def _reason(error: ErrorDetails, model: type[Frozen], kind: str) -> str:
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, error["loc"][:-1])
        return f"{error['loc'][-1]!r} is no key of {kind}" + (f"; known here: {', '.join(known)}" if known else "")
    if (found := _PLAIN.get(error["type"])) is not None:
        return found.format(**error.get("ctx", {}))
    return error["msg"].removeprefix("Value error, ")


def _known_keys(model: type[Frozen], section: Sequence[str | int]) -> list[str]:
    for part in section:
        if isinstance(part, int) or part not in model.model_fields:
            found = METHODS.get(part) if isinstance(part, str) else model
        else:
            found = _model_in(model.model_fields[part].annotation)
        if found is None:
            return []
        model = found
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> type[Frozen] | None:
    """The model that a field holds, alone, optional or in a tuple."""
    choices = (annotation, *get_args(annotation))
    found = [one for one in choices if isinstance(one, type) and issubclass(one, Frozen)]
    return found[0] if found else None
