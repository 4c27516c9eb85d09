"""A key-value cache with room to grow: a new token is written in place, where transformers' own copies all there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

ROOM = 64  # tokens


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, (B, heads, T, width): views of buffers with places to spare behind T."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add the states of the tokens just read; keys and values of all tokens so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < after:
            held = (self.keys, self.values) if before else (None, None)
            self._buffers = (_grown(held[0], key_states, after), _grown(held[1], value_states, after))
        keys, values = self._buffers
        keys[:, :, before:after], values[:, :, before:after] = key_states, value_states
        self.keys, self.values = keys[:, :, :after], values[:, :, :after]
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._rows(lambda tensor: tensor.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with these rows alone, in this order; those that stay in their place are not copied."""
        moved = (indices != torch.arange(len(indices), device=indices.device)).nonzero()[:, 0]
        length = self.get_seq_length()

        def closed_up(buffer: Tensor) -> Tensor:
            buffer[moved, :, :length] = buffer[indices[moved], :, :length]
            return buffer[: len(indices)]

        self._rows(closed_up)

    def _rows(self, change: Callable[[Tensor], Tensor]) -> None:
        if self._buffers is None:
            return
        length = self.get_seq_length()
        self._buffers = (change(self._buffers[0]), change(self._buffers[1]))
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


def _grown(held: Tensor | None, new: Tensor, length: int) -> Tensor:
    """A buffer for `length` tokens and some more, with what is held at its beginning."""
    rows, heads, _, width = new.shape
    buffer = torch.empty(rows, heads, length + ROOM, width, dtype=new.dtype, device=new.device)
    if held is not None:
        buffer[:, :, : held.shape[-2]] = held
    return buffer


def new_cache(config: Any) -> DynamicCache | EncoderDecoderCache:
    """An empty cache for the model; other kinds of layer (a sliding window, say) stay as transformers makes them."""
    if config.is_encoder_decoder:
        return EncoderDecoderCache(_roomy(config), DynamicCache(config=config))
    return _roomy(config)


def _roomy(config: Any) -> DynamicCache:
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
