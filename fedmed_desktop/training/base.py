# SPDX-License-Identifier: Apache-2.0
"""A base model, loaded once: frozen weights, tokenizer and access to logits."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from ..errors import UserFacingError
from ..lora.base_model import weight_files
from .adapters import LoraSlot
from .belonging import check_order, check_tokens
from .chat import end_of_turn
from .device import Device, default_threads
from .library import ONLY_FILES, UNREADABLE, check_state, loader_of, tokenizer_of, unreadable
from .memory import TrainingMemory
from .processes import Lost, Processes
from .remembered import Remembered
from .sharding import pass_along, shard

if TYPE_CHECKING:
    from .evaluation import Evaluation


@dataclass
class BaseModel:
    """A frozen causal language model and its tokenizer. Used by one thread at a time.

    `threads` is what torch computes with on the CPU; `use_threads` sets it in the calling thread. `processes`: those
    that train on the same base together with this one. `sharded`: each of them has a part of it, and all must pass
    through its layers at once; `together` while each does so by itself, as they do in training. `remembered`:
    evaluations that are not made twice, in a lab.
    """

    folder: Path
    device: Device
    threads: int
    model: Any
    tokenizer: Any
    processes: Processes | None = None
    sharded: bool = False
    remembered: Remembered[Evaluation] | None = None
    together: bool = field(default=False, init=False)
    lora: LoraSlot = field(init=False)
    head_apart: bool = field(init=False)
    keeps_columns: bool = field(init=False)
    memory: TrainingMemory = field(init=False)

    def __post_init__(self) -> None:
        self.lora = LoraSlot(self.model)
        self.memory = TrainingMemory(self.model, self.device.name)
        self.head_apart = _head_gives_logits(self.model, self.device)
        if self.sharded:  # where memory runs out inside a layer, the others cannot be called back
            self.memory.recompute()
        self.keeps_columns = "logits_to_keep" in inspect.signature(self.model.forward).parameters

    @classmethod
    def load(cls, folder: Path, device: Device, threads: int | None = None, over: Processes | None = None) -> BaseModel:
        """Loads a model folder: safetensors only, no code from the folder, no network.

        `over`: splits it over these processes, all of which must call this. Raises UserFacingError if it is not a
        model folder, its architecture is unknown, its tokenizer does not belong to it, or memory is too small.
        """
        weight_files(folder)
        threads = threads or default_threads()
        torch.set_num_threads(threads)
        if over is None:
            model, tokenizer = _read(folder, device)
        else:
            mesh = init_device_mesh(device.name, (over.place.count,))
            with over.in_turn():  # the memory of the machine has to hold it once
                model, tokenizer = _read(folder, device)
                shard(model, mesh)
        if device.quantization == "none":
            model.to(device.torch)
        model.eval().requires_grad_(False)
        _keep_as_loaded(model, device)
        if over is not None:
            pass_along(model, device.torch)
        with device.autocast():
            check_order(folder, model, device.torch)
        return cls(folder, device, threads, model, tokenizer, over, sharded=over is not None)

    def use_threads(self) -> None:
        torch.set_num_threads(self.threads)

    @property
    def bytes(self) -> int:
        """Size of the weights in memory."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def context(self) -> int:
        """Maximum number of tokens of prompt and answer together."""
        return int(getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**20)

    def room(self, max_tokens: int) -> int:
        """Returns as many of so many tokens as the model can read: beyond, learned positions are an error, and rotary
        ones were never trained.
        """
        return min(max_tokens, self.context)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's end of text, its template's, and those that the model's settings
        name."""
        named = getattr(self.model.generation_config, "eos_token_id", None)
        ids = {
            self.tokenizer.eos_token_id,
            end_of_turn(self.tokenizer),
            *(named if isinstance(named, list) else [named]),
        }
        return frozenset(i for i in ids if i is not None)

    def selected_hidden(self, selected: Tensor, **inputs: Any) -> Tensor:
        """The decoder's outputs (n, width) at the n positions where `selected` (rows, length) is true."""
        hidden: Tensor = self._passed(self.model.base_model, inputs).last_hidden_state
        return hidden[selected]

    def selected_logits(self, selected: Tensor, **inputs: Any) -> Tensor:
        """Logits in float32 (n, vocabulary) at the n positions where `selected` (rows, length) is true.

        The head runs on those positions only: at a vocabulary of 150,000 all others would be most of the memory. One
        that scales or caps its logits runs inside the model, on each column where any row has such a position.
        """
        if self.head_apart:
            logits: Tensor = self.model.get_output_embeddings()(self.selected_hidden(selected, **inputs))
        elif self.keeps_columns:
            columns = selected.any(0).nonzero()[:, 0]
            logits = self._passed(self.model, {**inputs, "logits_to_keep": columns}).logits[selected[:, columns]]
        else:
            logits = self._passed(self.model, inputs).logits[selected]
        return logits.float()

    def _passed(self, model: Any, inputs: dict[str, Any]) -> Any:
        """One pass through the layers; where they are split, all processes are told to take part.

        Raises UserFacingError where memory is too small for it and there is no going on with less: the others are
        inside their own passes.
        """
        if not self.sharded or self.processes is None:
            return model(**inputs)
        if self.processes.place.leads and not self.together:
            self.processes.tell("pass")
        try:
            return model(**inputs)
        except torch.OutOfMemoryError:
            self.processes.lost = True
            raise UserFacingError("training.out_of_memory", device=self.device.name) from None
        except RuntimeError as error:
            self.processes.lost = True
            raise Lost(str(error)) from error


def _read(folder: Path, device: Device) -> tuple[Any, Any]:
    """The model, on the CPU unless it is quantised, and its tokenizer. Raises UserFacingError like BaseModel.load."""
    try:
        tokenizer = tokenizer_of(folder)
        config = transformers.AutoConfig.from_pretrained(folder, **ONLY_FILES)
        model, loaded = loader_of(config).from_pretrained(folder, output_loading_info=True, **_load_options(device))
    except torch.OutOfMemoryError:
        raise UserFacingError("training.out_of_memory", device=device.name) from None
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    if missing := sorted(loaded["missing_keys"]):  # the library would use random numbers there
        reason = f"it lacks the weights {missing[0]}" + (" and others" if len(missing) > 1 else "")
        raise UserFacingError("training.model_unreadable", path=str(folder), reason=reason)
    check_state(folder, model)
    check_tokens(folder, tokenizer, model)
    return model, tokenizer


def _load_options(device: Device) -> dict[str, Any]:
    options: dict[str, Any] = {**ONLY_FILES, "use_safetensors": True, "dtype": device.dtype}
    if device.quantization == "nf4":
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=device.dtype,
            bnb_4bit_use_double_quant=True,
        )
        # By its number: one of several processes has another than the first.
        options["device_map"] = {"": torch.cuda.current_device() if device.name == "cuda" else device.name}
    return options


def _keep_as_loaded(model: nn.Module, device: Device) -> None:
    """bitsandbytes repacks 4-bit weights on some CPUs at the first inference and rounds their scales while it does so:
    the base would change under training. It leaves layers alone that are in training mode, which means nothing else."""
    if device.name == "cpu" and device.quantization == "nf4":
        for module in model.modules():
            if type(module).__name__ == "Linear4bit":
                module.train()


@torch.inference_mode()
def _head_gives_logits(model: nn.Module, device: Device) -> bool:
    """True if logits are just head(decoder(x)), neither scaled nor capped. Tried, not looked up."""
    body, head = getattr(model, "base_model", model), model.get_output_embeddings()  # type: ignore[operator]
    if body is model or head is None:
        return False
    tokens = torch.arange(4, device=device.torch)[None]
    whole = model(input_ids=tokens, use_cache=False).logits
    apart = head(body(input_ids=tokens, use_cache=False).last_hidden_state)
    # Some heads give float32, whatever the weights are in.
    return whole.shape == apart.shape and torch.allclose(whole.float(), apart.float(), rtol=1e-3, atol=1e-4)
