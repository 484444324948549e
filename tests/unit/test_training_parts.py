# SPDX-License-Identifier: Apache-2.0
"""Base models, batches and generation, on a tiny real model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Entity, Note, SiteNotes
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.work import Control, Given, Stopped
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.base_model import decoder_linears, fingerprint
from tests.parts.model import copied
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Example, Schedule, by_length, collate
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.generation import Request, generate, stream
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.model_folder import resolve_model
    from fedmed_desktop.training.rates import learning_rate_share
    from fedmed_desktop.training.trainer import SiteTrainer


TYPES = ("drug",)


def note(words: int, name: str = "n") -> Note:
    text = "Aspirin was given" + "".join(f" and dose {i} was noted." for i in range(words))
    return Note(id=name, text=text, entities=(Entity(id="T1", start=0, end=7, type="drug", text="Aspirin"),))


def random_adapter(folder: Path, rank: int = 3, size: float = 0.3) -> Adapter:
    rng = np.random.default_rng(0)
    return Adapter(
        {
            name: Module(
                rng.normal(0, size, (d, rank)).astype(np.float32),
                rng.normal(0, size, (rank, k)).astype(np.float32),
                1.5,
            )
            for name, (d, k) in decoder_linears(folder).items()
        }
    )


@pytest.fixture(scope="module")
def examples(base: BaseModel) -> tuple[Example, ...]:
    return Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode([note(n) for n in (0, 3, 1, 6)], 400).items


@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_that_the_loss_is_that_of_a_plain_forward_with_labels(
    base: BaseModel, examples: tuple[Example, ...], loss_on: str
) -> None:
    assert base.head_apart
    ours = collate(examples, loss_on, torch.device("cpu"))  # type: ignore[arg-type]
    length = ours.tokens.shape[1]
    labels = torch.full((len(examples), length), -100)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    for row, example in enumerate(examples):
        first = len(example.prompt) if loss_on == "answer" else 0
        labels[row, first : len(example)] = torch.tensor((example.prompt + example.answer)[first:])
        mask[row, : len(example)] = 1
    with torch.no_grad():
        plain = base.model(input_ids=ours.tokens, attention_mask=mask, labels=labels).loss
        mean = label_losses(base, ours) / len(ours.labels)
    assert mean.item() == pytest.approx(plain.item(), rel=1e-5)


def test_that_a_model_which_caps_its_logits_is_asked_as_a_whole(tmp_path: Path, tiny_model: Path) -> None:
    config = transformers.Gemma2Config(
        vocab_size=4096, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=0.5, max_position_embeddings=512,
    )  # fmt: skip
    transformers.Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, tmp_path / name)
    base = BaseModel.load(tmp_path, choose_device(prefer="cpu"), threads=1)
    assert not base.head_apart
    tokens = torch.arange(10)[None]
    selected = torch.zeros_like(tokens, dtype=torch.bool)
    selected[0, 4] = True
    with torch.no_grad():
        computed = []
        base.model.lm_head.register_forward_hook(lambda module, args, out: computed.append(out.shape[1]))
        logits = base.selected_logits(selected, input_ids=tokens)
        assert computed == [1], "the head runs where it is asked for"
        whole = base.model(input_ids=tokens).logits
        assert torch.allclose(logits[0], whole[0, 4], atol=1e-6)
        some = torch.tensor([[False, True, True, False], [True, False, True, False]])
        rows = torch.arange(8).view(2, 4)
        expected = base.model(input_ids=rows).logits[some]
        assert torch.allclose(base.selected_logits(some, input_ids=rows), expected, atol=1e-6)
        assert base.selected_logits(torch.zeros_like(some), input_ids=rows).shape == (0, 4096)


def test_that_modules_have_their_own_ranks_on_the_model_and_are_read_back_so(base: BaseModel, tiny_model: Path) -> None:
    adapter = random_adapter(tiny_model)
    names = list(adapter)
    thin = Module(adapter[names[0]].B[:, :1], adapter[names[0]].A[:1], 0.7)
    mixed = Adapter({**adapter, names[0]: thin})
    base.lora.attach(mixed)
    assert base.lora.read() == mixed
    x = torch.randn(5, adapter[names[0]].shape[1], generator=torch.Generator().manual_seed(0))
    layer = base.model.get_submodule(names[0])
    assert {name: base.model.get_submodule(name).lora_A.default.weight.shape[0] for name in names} == mixed.ranks
    expected = x @ (layer.base_layer.weight + 0.7 * torch.from_numpy(thin.B @ thin.A)).T
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_that_answers_of_a_batch_are_those_of_single_prompts(
    base: BaseModel, examples: tuple[Example, ...], tiny_model: Path
) -> None:
    base.lora.attach(random_adapter(tiny_model))
    requests = [Request(e.prompt, limit) for e, limit in zip(examples, (20, 5, 30, 12), strict=True)]
    together = generate(base, requests)
    assert together == [generate(base, [request])[0] for request in requests]
    assert together == [tuple(stream(base, request)) for request in requests]
    assert together == generate(base, requests, rows=2)
    for request, answer in zip(requests, together, strict=True):
        plain = base.model.generate(
            input_ids=torch.tensor([request.prompt]), max_new_tokens=request.limit, do_sample=False
        )[0, len(request.prompt) :].tolist()
        assert tuple(token for token in plain if token not in base.end_tokens) == answer


def test_that_a_folded_adapter_answers_alike_and_leaves_every_bit_of_the_base(
    base: BaseModel, examples: tuple[Example, ...], tiny_model: Path
) -> None:
    base.lora.detach()
    requests = [Request(e.prompt, 12) for e in examples]
    bare = generate(base, requests)
    weights = {name: value.clone() for name, value in base.model.state_dict().items()}
    base.lora.attach(random_adapter(tiny_model))
    attached = generate(base, requests)
    with pytest.raises(Stopped), base.lora.folded():
        assert generate(base, requests) == attached != bare
        raise Stopped
    assert generate(base, requests) == attached
    base.lora.detach()
    with base.lora.folded():
        assert generate(base, requests) == bare
    now = base.model.state_dict()
    assert all(torch.equal(now[name], weights[name]) for name in weights)


def test_that_generation_ends_at_the_end_token(
    base: BaseModel, examples: tuple[Example, ...], tiny_model: Path
) -> None:
    base.lora.attach(random_adapter(tiny_model))
    whole = generate(base, [Request(examples[0].prompt, 12)])[0]
    assert len(whole) == 12
    end = whole[5]
    was = base.model.generation_config.eos_token_id
    base.model.generation_config.eos_token_id = [end, 0]
    try:
        cut = generate(base, [Request(e.prompt, 12) for e in examples])[0]
    finally:
        base.model.generation_config.eos_token_id = was
    assert cut == whole[: whole.index(end)]


def test_that_generation_stops_when_told(base: BaseModel, examples: tuple[Example, ...]) -> None:
    control = Control()
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            control.stop()
        control.check()

    with pytest.raises(Stopped):
        generate(base, [Request(e.prompt, 50) for e in examples], check=check)
    assert looks == 3


def test_that_long_notes_are_cut_and_hopeless_ones_counted(base: BaseModel) -> None:
    encoder = Encoder(base.tokenizer, [Entities(TYPES, "html")])
    long, short = note(60), note(1)
    assert len(encoder.encode([long], 100_000).items[0]) > 300
    cut = encoder.encode([long, short], 150)
    assert (cut.split, cut.left_out) == (1, ())
    assert max(map(len, cut.items)) <= 150
    assert sum(len(e.asked.note.entities) for e in cut.items) == 2
    assert cut.items[-1].asked.note == short
    hopeless = encoder.encode([long], 12)
    assert hopeless.items == () and len(hopeless.left_out) > 0


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=300),
    size=st.integers(1, 9),
    seed=st.integers(0, 2**64 - 1),
)
def test_that_each_epoch_takes_every_example_once(lengths: list[int], size: int, seed: int) -> None:
    schedule = Schedule(lengths, size, seed)
    per_epoch = schedule.steps_per_epoch
    batches = [schedule.batch(step) for step in range(2 * per_epoch)]
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        assert sorted(i for batch in epoch for i in batch) == list(range(len(lengths)))
        assert all(len(batch) <= size for batch in epoch)
    # Any step can be asked for first, as after a resume.
    assert Schedule(lengths, size, seed).batch(2 * per_epoch - 1) == batches[-1]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    room=st.integers(1, 200),
    rows=st.integers(1, 8),
    padding=st.sampled_from([0.0, 0.15, 1.0]),
)
def test_that_groups_by_length_stay_within_their_room(lengths: list[int], room: int, rows: int, padding: float) -> None:
    examples = [Example(note(0), (5,) * n, ()) for n in lengths]
    groups = by_length(examples, room, rows, padding)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) <= rows
        padded = len(group) * max(lengths[i] for i in group)
        assert len(group) == 1 or padded <= room
        assert sum(lengths[i] for i in group) >= (1 - padding) * padded


def test_that_the_learning_rate_warms_up_and_falls() -> None:
    shares = [learning_rate_share(step, 100, 0.05) for step in range(100)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares[5] == 1.0
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert 0 < shares[-1] < 0.001
    assert learning_rate_share(0, 1, 0.05) == 1.0


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "no-such-architecture"}')


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")


@pytest.mark.parametrize("damage", [break_config, break_tokenizer, break_weights])
def test_that_a_broken_model_folder_is_named(tiny_model: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    damage(folder)
    with told_as("cannot be loaded") as error:
        BaseModel.load(folder, choose_device(prefer="cpu"), threads=1)
    assert error.value.params["path"] == str(folder)


def test_that_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with told_as(r"config\.json"):
        resolve_model(str(tmp_path))
    with told_as("no model folder"):
        resolve_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("model_id", ["some-company/some-model", "gpt2"])
def test_that_an_id_outside_the_cache_names_the_command_and_asks_no_network(
    model_id: str, refused_connections: list[str]
) -> None:
    with told_as(f"hf download {model_id}"):
        resolve_model(model_id)
    assert refused_connections == []


def test_that_a_cached_id_is_found(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--clinic--tiny"
    shutil.copytree(tiny_model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert resolve_model("clinic/tiny") == repository / "snapshots" / commit


def test_that_the_choice_of_a_device_has_a_reason() -> None:
    device = choose_device(prefer="cpu")
    assert (device.name, device.dtype, device.quantization) == ("cpu", torch.float32, "none")
    assert device.reason == "Training runs on the CPU in float32, as asked for."
    if not torch.cuda.is_available():
        with told_as("No CUDA device"):
            choose_device(prefer="cuda")


def test_that_a_4_bit_base_trains_on_the_cpu(tiny_model: Path, tmp_path: Path) -> None:
    device = choose_device("nf4", prefer="cpu")
    assert "NF4" in device.reason
    base = BaseModel.load(tiny_model, device, threads=1)
    weight = base.model.model.layers[0].mlp.up_proj.weight
    assert weight.dtype == torch.uint8
    packed, scales = weight.data.clone(), weight.quant_state.absmax.clone()
    notes = SiteNotes([note(n, f"n{n}") for n in range(4)], [note(2)], None)
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    settings = TrainingSettings(steps=2, batch_size=4, learning_rate=0.05, max_new_tokens=8)
    plan = Plan(round=1, start=start.sha256, rank=4, training=settings, seed=1)
    result = SiteTrainer(base, "s", notes, [Entities(TYPES)]).train_round(
        plan, Given(start), tmp_path, lambda event: None, Control()
    )
    report = result.update.report
    assert report.loss_before is not None and report.loss_after is not None
    assert report.loss_after < report.loss_before
    base.lora.detach()
    weight = base.model.model.layers[0].mlp.up_proj.weight
    assert torch.equal(weight.data, packed)
    assert torch.equal(weight.quant_state.absmax, scales)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
def test_that_an_adapter_inside_a_base_folder_is_refused(name: str, tiny_model: Path, tmp_path: Path) -> None:
    """The library would load the base with that adapter in it, and nobody would know."""
    folder = copied(tiny_model, tmp_path / "base")
    (folder / name).write_bytes(b"{}")
    read = (decoder_linears, fingerprint, lambda path: resolve_model(str(path)), lambda path: LoadedBase(path).get())
    for use in read:
        with told_as(f"contains an adapter.*{name}"):
            use(folder)
