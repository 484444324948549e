# SPDX-License-Identifier: Apache-2.0
"""Keys and values of growing rows without a copy at every token: the library's own cache concatenates all of them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, Final

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_SPARE_TOKENS = 64
_ARGUMENTS: Final = ("cache", "past_key_values")  # from transformers 5.24 on, and before


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values (rows, heads, length, width) as views of buffers with room at the end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.keys: Tensor | None
        self.values: Tensor | None
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Appends, and returns all keys and values so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        total = length + key_states.shape[-2]
        if self._buffers is None or total > self._buffers[0].shape[-2]:
            room = total + max(_SPARE_TOKENS, total // 2)
            self._buffers = _enlarged(self.keys, key_states, room), _enlarged(self.values, value_states, room)
        keys, values = self._buffers
        keys[:, :, length:total] = key_states
        values[:, :, length:total] = value_states
        seen = keys[:, :, :total], values[:, :, :total]
        self.keys, self.values = seen
        return seen

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keeps only these rows. The library's name, which layers with a state of their own have too."""
        if self._buffers is not None:
            length = self.get_seq_length()
            keys, values = (buffer[beam_idx] for buffer in self._buffers)
            self._buffers = keys, values
            self.keys, self.values = keys[:, :, :length], values[:, :, :length]

    def forget(self, count: int) -> None:
        """Takes back the last `count` tokens; what comes next is written over them."""
        if self.keys is None or self.values is None:  # of a layer that texts do not pass, but pictures do
            return
        length = self.get_seq_length() - count
        self.keys, self.values = self.keys[:, :, :length], self.values[:, :, :length]

    def rows_of(self, rows: Tensor, room: int) -> RoomyLayer:
        """A layer of its own with these rows, any of them several times."""
        keys, values = self.keys, self.values
        copy = RoomyLayer()
        if keys is None or values is None:
            return copy
        length = self.get_seq_length()
        copy.lazy_initialization(keys, values)
        copy._buffers = _copied(keys, rows, length + room), _copied(values, rows, length + room)
        copy.keys, copy.values = (buffer[:, :, :length] for buffer in copy._buffers)
        return copy


def roomy_cache(config: Any) -> DynamicCache:
    """A cache for this model; layers with a window or a state of their own keep the library's."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def as_argument(cache: DynamicCache, model: Any) -> dict[str, DynamicCache]:
    """The cache by the name that this model's forward has for it."""
    return {_argument(type(model).forward): cache}


def takes_cache(model: Any) -> bool:
    """True if a model's forward can be given a cache of the library."""
    return bool(_argument(type(model).forward))


def keeps_keys(config: Any) -> bool:
    """True if keys and values are kept by at least one layer of a model of this configuration."""
    return any(isinstance(layer, DynamicLayer) for layer in DynamicCache(config=config).layers)


def keep_rows(cache: DynamicCache, rows: Tensor) -> None:
    """Keeps only these rows of each layer, of keys and values as well as of the state of a recurrence."""
    cache.reorder_cache(rows)


def reads_in_parts(cache: DynamicCache) -> bool:
    """True if a prompt may be read in several parts. Not all models go on from the state of a recurrence with more than
    one token: Jamba's begins anew, and says nothing."""
    return not any(hasattr(layer, "conv_states") for layer in cache.layers)


def can_forget(cache: DynamicCache) -> bool:
    """True if what was read last can be taken back: not of layers with a window or a state."""
    return all(type(layer) is RoomyLayer for layer in cache.layers)


def knows_places(model: Any) -> bool:
    """True if a model is told where each token stands, so that gaps between a row's tokens do not matter.

    MPT counts the places in memory instead, and GPT-Neo does for its windows.
    """
    told = "position_ids" in inspect.signature(model.forward).parameters
    return told and "local" not in getattr(model.config, "attention_layers", ())


def forget(cache: DynamicCache, count: int) -> None:
    """Takes back the last `count` tokens of a cache with RoomyLayers."""
    for layer in cache.layers if count else ():
        layer.forget(count)


def rows_of(cache: DynamicCache, rows: Tensor, room: int) -> DynamicCache:
    """A cache of these rows of one with RoomyLayers, any of them several times, with `room` for more tokens each."""
    chosen = DynamicCache()
    chosen.layers = [layer.rows_of(rows, room) for layer in cache.layers]
    return chosen


@lru_cache(maxsize=8)  # asked at every token
def _argument(forward: Any) -> str:
    """The cache's name in this function; "" where it has none."""
    taken = inspect.signature(forward).parameters
    return next((name for name in _ARGUMENTS if name in taken), "")


def _enlarged(old: Tensor | None, new: Tensor, room: int) -> Tensor:
    rows, heads, _, width = new.shape
    buffer = new.new_empty((rows, heads, room, width))
    if old is not None and old.numel():
        buffer[:, :, : old.shape[-2]] = old
    return buffer


def _copied(old: Tensor, rows: Tensor, room: int) -> Tensor:
    _, heads, length, width = old.shape
    buffer = old.new_empty((len(rows), heads, room, width))
    buffer[:, :, :length] = old[rows]
    return buffer
