# SPDX-License-Identifier: Apache-2.0
"""What a model has read is handed on by the name that its forward has for it, and only to models that continue from
it: transformers 5.24 renamed the argument, and gave those with a state of their own one of the same name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.tasks import Asked
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Example
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.generation import Request, generate
    from fedmed_desktop.training.library import check_state, loader_of
    from fedmed_desktop.training.ranking import likelihoods

SMALL: dict[str, Any] = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2}
ATTENTION: dict[str, Any] = {"intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
OWN_STATES: dict[str, dict[str, Any]] = {
    "Mamba": SMALL,
    "Mamba2": {**SMALL, "num_heads": 4, "head_dim": 8, "n_groups": 1},
    "FalconMamba": SMALL,
    "Rwkv": SMALL,
    "xLSTM": {**SMALL, "num_heads": 2},
    "RecurrentGemma": SMALL | ATTENTION,
    "MiniMax": SMALL | ATTENTION,
    "Reformer": {"is_decoder": True},
    "XLNet": {"vocab_size": 64, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24},
    "XLM": {"vocab_size": 64, "emb_dim": 16, "n_layers": 2, "n_heads": 2},
    # of kinds that have attention, but in no layer
    "Bamba": {**SMALL, **ATTENTION, "mamba_n_heads": 4, "mamba_d_head": 8},
    "Lfm2": {**SMALL, **ATTENTION, "layer_types": ["conv", "conv"]},
}
CONTINUED: dict[str, dict[str, Any]] = {
    "Llama": SMALL | ATTENTION,
    "Bamba": {**OWN_STATES["Bamba"], "attn_layer_indices": [1]},
    "Lfm2": {**SMALL, **ATTENTION, "layer_types": ["conv", "full_attention"]},
    "FalconH1": {**SMALL, **ATTENTION, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_ssm": 32},
}
NAMES = ("cache", "past_key_values")


def outlined(kind: str, settings: dict[str, Any]) -> Any:
    config = getattr(transformers, f"{kind}Config")(**settings)
    with torch.device("meta"):
        return loader_of(config).from_config(config)


def made(name: str | None) -> BaseModel:
    """A small model that takes its cache by this name, whatever the installed library calls it.

    Granite's scale keeps its head inside, so that it is this forward which is called.
    """

    class Newer(transformers.GraniteForCausalLM):  # type: ignore[misc]
        def forward(self, position_ids: Any = None, cache: Any = None, **more: Any) -> Any:
            return super().forward(position_ids=position_ids, **{own: cache}, **more)

    class Older(transformers.GraniteForCausalLM):  # type: ignore[misc]
        def forward(self, position_ids: Any = None, past_key_values: Any = None, **more: Any) -> Any:
            return super().forward(position_ids=position_ids, **{own: past_key_values}, **more)

    plain = transformers.GraniteForCausalLM
    own = next(own for own in NAMES if own in inspect.signature(plain.forward).parameters)
    config = transformers.GraniteConfig(**SMALL, **ATTENTION, logits_scaling=4.0, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = {"cache": Newer, "past_key_values": Older, None: plain}[name](config).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    base = BaseModel(Path(), choose_device(prefer="cpu"), 1, model, _tokenizer())
    assert not base.head_apart
    return base


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models

    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))


@pytest.mark.parametrize("name", NAMES)
def test_that_a_cache_is_given_by_the_name_that_the_model_has_for_it(name: str) -> None:
    requests = [Request((5, 9, 33, 7), 12), Request((21, 3), 8)]
    choices = [Example(Asked(Note(id="n", text="a"), ""), (5, 9, 33), (), ((4, 8, 2), (4, 7), (30,)))]

    def answers(base: BaseModel) -> tuple[Any, Any]:
        check_state(Path(), base.model)
        return generate(base, requests), likelihoods(base, choices, 64, lambda: None)

    written, likely = answers(made(name))
    assert (written, likely) == answers(made(None))
    assert max(map(len, written)) > 4


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
@pytest.mark.parametrize("kind", OWN_STATES)
def test_that_a_model_which_keeps_no_keys_is_refused_when_it_is_loaded(kind: str) -> None:
    model = outlined(kind, OWN_STATES[kind])
    with told_as(f"{model.config.model_type} models keep what they have read in an internal state"):
        check_state(Path(), model)


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
@pytest.mark.parametrize("kind", CONTINUED)
def test_that_a_model_with_keys_in_some_layer_is_not_refused(kind: str) -> None:
    check_state(Path(), outlined(kind, CONTINUED[kind]))


def test_that_a_model_whose_layers_the_library_cannot_list_is_refused_with_its_reason() -> None:
    with told_as("'BltConfig' object has no attribute 'num_hidden_layers'"):
        check_state(Path(), outlined("Blt", {}))
