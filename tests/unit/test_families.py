# SPDX-License-Identifier: Apache-2.0
"""Each family of base models through all that a federation does with it: founded, trained, stopped, resumed, scored,
exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.coordinator.founding import found_federation
from fedmed_desktop.federation.work import Control, Given, Stopped
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import linears_in_files
from tests.parts.families import FAMILIES, Family
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, note, plan_of, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import peft
    import torch
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.device import Quantization, choose_device
    from fedmed_desktop.training.generation import Request, generate
    from fedmed_desktop.training.library import loader_of
    from fedmed_desktop.training.outline import adaptable_linears
    from fedmed_desktop.training.trainer import SiteTrainer

QUICK, QUICK_IN_4_BITS = 3, ("Phi 3 and 4",)
IN_4_BITS = (
    "Llama 3", "Qwen 2.5", "Qwen 3", "Gemma 2", "Gemma 3", "Mistral", "Phi 3 and 4", "OLMo 2", "Granite", "SmolLM",
)  # fmt: skip
SHORT = SETTINGS.model_copy(update={"steps": 3, "learning_rate": 0.01, "max_new_tokens": 4, "checkpoint_steps": 1})


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if at >= QUICK else ()) for at, name in enumerate(FAMILIES)]
)
def test_that_a_family_goes_through_a_federation(name: str, tmp_path: Path) -> None:
    _goes_through_a_federation(name, "none", tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK_IN_4_BITS else pytest.mark.slow) for name in IN_4_BITS]
)
def test_that_a_family_in_4_bits_goes_through_a_federation(name: str, tmp_path: Path) -> None:
    base = _goes_through_a_federation(name, "nf4", tmp_path)
    again = BaseModel.load(base.folder, base.device, threads=1)
    base.lora.detach()
    for module in linears_in_files(base.folder):
        layer, fresh = (one.model.get_submodule(module) for one in (base, again))
        assert type(layer).__name__ == "Linear4bit"
        assert layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested
        assert torch.equal(layer.weight, fresh.weight), "the base stays as it was loaded"
    assert type(base.model.get_output_embeddings()) is torch.nn.Linear


def _goes_through_a_federation(name: str, quantization: Quantization, tmp_path: Path) -> BaseModel:
    folder = FAMILIES[name].folder(tmp_path / "model")
    modules = adaptable_linears(folder)
    assert len(modules) == FAMILIES[name].adapted
    spec, start = found_federation(
        folder, {"rank": 4, "alpha": 8}, 1, modules=modules, name="n", types=TYPES, training=SHORT
    )
    base = BaseModel.load(folder, choose_device(quantization, prefer="cpu"), threads=1)
    trainer = SiteTrainer.for_spec(spec, base, "A", NOTES, TYPES)
    plan = plan_of(start, SHORT)
    whole = train(trainer, start, tmp_path / "whole", plan)
    control = Control()
    with pytest.raises(Stopped):
        trainer.train_round(
            plan, Given(start), tmp_path / "cut", lambda event: event.type == "step" and control.stop(), control
        )
    assert train(trainer, start, tmp_path / "cut", plan).blobs == whole.blobs
    report = whole.update.report
    assert report.loss_after < report.loss_before  # type: ignore[operator]
    trained = Adapter.from_blob(whole.blobs["adapter"])
    assert not [name for name, module in trained.items() if not np.any(module.B)], "all layers learn"
    _as_the_library_answers(base, trained)
    _as_peft_loads(base, trained, tmp_path / "exported")
    return base


def _as_the_library_answers(base: BaseModel, adapter: Adapter) -> None:
    base.lora.attach(adapter)
    items = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode([note(i) for i in (0, 7, 3)], 400).items
    requests = [Request(item.prompt, limit) for item, limit in zip(items, (9, 3, 12), strict=True)]
    for request, answer in zip(requests, generate(base, requests), strict=True):
        tokens = torch.tensor([request.prompt])
        plain = base.model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=request.limit, do_sample=False,
            pad_token_id=0,
        )[0, len(request.prompt) :].tolist()  # fmt: skip
        assert answer == tuple(token for token in plain if token not in base.end_tokens)


def _as_peft_loads(base: BaseModel, adapter: Adapter, exported: Path) -> None:
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        base.lora.attach(adapter)
        ours = base.model(input_ids=tokens).logits
        base.lora.detach()
        bare = base.model(input_ids=tokens).logits
        adapter.save_peft(exported)
        four = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
        )
        stored = {"quantization_config": four} if base.device.quantization == "nf4" else {}
        plain = loader_of(transformers.AutoConfig.from_pretrained(base.folder)).from_pretrained(
            base.folder, dtype=torch.float32, **stored
        )
        loaded = peft.PeftModel.from_pretrained(plain, exported).eval()
        for module in loaded.modules():  # in eval mode bitsandbytes repacks them, which fails at these small widths
            module.train(type(module).__name__ == "Linear4bit")
        theirs = loaded(input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours, bare, atol=1e-3)


def test_that_nothing_is_trained_or_scored_past_the_models_context(tmp_path: Path) -> None:
    """Learned positions end in an error there; rotary ones go on and say nothing."""
    for name in ("OPT", "Llama 3"):
        family = FAMILIES[name]
        short = Family(family.config, family.settings | {"max_position_embeddings": 160}, family.start)
        folder = short.folder(tmp_path / name)
        base = BaseModel.load(folder, choose_device(prefer="cpu"), threads=1)
        longer = NOTES.train[0].model_copy(update={"text": NOTES.train[0].text + " It was so." * 80})
        notes = type(NOTES)([longer, *NOTES.train[1:]], NOTES.validation, None)
        trainer = SiteTrainer(base, "A", notes, [Entities(TYPES)])
        start = Adapter.initial(adaptable_linears(folder), rank=2, scale=2.0, seed=1)
        assert 100 < max(map(len, trainer.examples("train", SHORT).items)) <= 160 < SHORT.max_tokens
        if name == "OPT":
            result = train(trainer, start, tmp_path / "round", plan_of(start, SHORT))
            assert result.update.report.steps == SHORT.steps
        assert trainer.score_adapter(None, [longer], SHORT, Control()) is not None


def test_that_a_tokenizer_which_does_not_belong_to_its_model_is_refused(tmp_path: Path) -> None:
    def load(folder: Path) -> BaseModel:
        return BaseModel.load(folder, choose_device(prefer="cpu"), threads=1)

    family = FAMILIES["SmolLM"]
    small = Family("Llama", family.settings | {"vocab_size": 4000}).folder(tmp_path / "small")
    with told_as(r"does not belong to the model beside it: .* the number 4000 .*the model knows only 4000"):
        load(small)
    folder = family.folder(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<picture>"]})  # no text becomes this one
    tokenizer.save_pretrained(folder)
    assert load(folder).tokenizer.convert_tokens_to_ids("<picture>") == 4096
    tokenizer.eos_token = "<end>"
    tokenizer.save_pretrained(folder)
    with told_as(r"number 4097 \(<end>\)"):
        load(folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    with told_as("names no end token"):
        load(folder)
