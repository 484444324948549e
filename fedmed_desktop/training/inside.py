# SPDX-License-Identifier: Apache-2.0
"""A base model that a federation is founded on, as far as its libraries tell: its layers, and how prompts go to it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from ..lora.base_model import has_chat_template


class Inside(NamedTuple):
    """Layers of the loaded model (None: torch is not installed, so that those which its files name must do), the way in
    which prompts go to it, and its template's identity where through that.
    """

    modules: dict[str, tuple[int, int]] | None
    prompt: Literal["plain", "chat"]
    chat_template: str | None = None


def look_inside(model: Path, prompt: Literal["plain", "chat", "auto"] = "auto") -> Inside:
    """Loads torch where it is installed, and none of the weights: seconds. Raises UserFacingError."""
    modules = None
    if find_spec("torch") is not None and find_spec("transformers") is not None:
        from .outline import adaptable_linears

        modules = adaptable_linears(model)
    if prompt == "plain" or (prompt == "auto" and not has_chat_template(model)):
        return Inside(modules, "plain")
    from .chat import found_prompting

    return Inside(modules, *found_prompting(model, prompt))
