# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can do something about: a code for machines, parameters, and one English sentence per code.

Codes travel on the wire and into records; the sentence is made where it is shown, so that a face may translate it.
"""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, str]] = {
    # code -> sentence; {name} is a parameter. Keep one block per package, sorted by code inside it.
}


class UserFacingError(Exception):
    """A fault that the user can mend.

    `code` is a key of SENTENCES, `params` fill its sentence (strings and numbers only, never note text);
    `retryable` says that doing the same thing later may succeed. str() is the English sentence.
    """

    def __init__(self, code: str, *, retryable: bool = False, **params: str | int | float) -> None:
        self.code = code
        self.params = params
        self.retryable = retryable
        super().__init__(sentence(code, params))

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.code, self.retryable, self.params))


def _restore(code: str, retryable: bool, params: dict[str, str | int | float]) -> UserFacingError:
    return UserFacingError(code, retryable=retryable, **params)


def sentence(code: str, params: dict[str, str | int | float]) -> str:
    """The English sentence for a code; a code from a newer peer is shown with its parameters."""
    template = SENTENCES.get(code)
    if template is None:
        details = ", ".join(f"{k}={v}" for k, v in sorted(params.items()))
        return f"{code} ({details})" if details else code
    return template.format_map(params)
