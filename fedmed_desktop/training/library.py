# SPDX-License-Identifier: Apache-2.0
"""The transformers library as it is used here: files of this computer only, no program from a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import transformers
from safetensors import SafetensorError

from ..errors import UserFacingError
from ..lora.kinds import has_own_state
from .cache import keeps_keys, takes_cache

transformers.utils.logging.disable_progress_bar()

ONLY_FILES: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False}

# The library's errors about damaged or unknown files; it lets through what its parsers raise.
UNREADABLE: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a model folder, which decodes a text as it is. Raises what is in UNREADABLE."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **ONLY_FILES)
    tokenizer.clean_up_tokenization_spaces = False  # Llama 3's folder asks for "a, b." where "a , b ." was written
    return tokenizer


def loader_of(config: Any) -> Any:
    """The library's class for models of this kind that continue a text: causal language models, and those inside a
    model that also sees."""
    causal, seeing = transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText
    only_seeing = type(config) in seeing._model_mapping and type(config) not in causal._model_mapping
    return seeing if only_seeing else causal


def check_state(folder: Path, model: Any) -> None:
    """Raises UserFacingError for a model that does not continue from keys and values of what it has read, as Mamba.

    Since transformers 5.24 those with a state of their own have an argument of the same name for it.
    """
    taken, kind = takes_cache(model), model.config.model_type
    if not taken and loader_of(model.config) is not transformers.AutoModelForCausalLM:
        raise UserFacingError("training.not_causal", path=str(folder))
    try:
        continues = taken and not has_own_state(kind) and keeps_keys(model.config)
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    if not continues:
        raise UserFacingError("model.own_state", path=str(folder), kind=kind)


def unreadable(folder: Path, error: Exception) -> UserFacingError:
    """The error to tell of a folder whose model or tokenizer the library does not load."""
    if "trust_remote_code" in str(error):
        return UserFacingError("training.model_code", path=str(folder))
    if "Unrecognized configuration class" in str(error):
        return UserFacingError("training.not_causal", path=str(folder))
    # The library's message names files and architectures only; its first line says which.
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserFacingError("training.model_unreadable", path=str(folder), reason=reason)
