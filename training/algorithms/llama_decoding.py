"""Decoding for models built as Llama is: the numbers of transformers' forward, with fewer and larger steps.

Queries, keys and values are one product, gate and up another, and each row writes its keys and values into a buffer at
its own position: no padding between prompt and completion, nothing copied as a row grows. B rows, T tokens, H heads of
queries and G of keys, D units a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM

from training.algorithms.data import pad_right
from training.algorithms.networks import Policy

# The fused weights are a copy. In a larger model the products take nearly all the time, fused or not; on a GPU it takes
# longer to launch the smaller steps than to do them.
LARGEST = {"cpu": 400_000_000, "cuda": 4_000_000_000}
LINEARS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
           "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip


def fits(model: Any) -> bool:
    """Whether the model is of the families whose arithmetic this is, with nothing in it replaced (by LoRA, say)."""
    if type(model) not in (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM):
        return False
    config = model.config
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    rope = config.rope_parameters
    return (
        not windowed
        and rope["rope_type"] in ("default", "linear", "llama3", "yarn")
        and rope.get("partial_rotary_factor", 1.0) == 1.0
        and config.hidden_act == "silu"
        and all(type(layer.get_submodule(name)) is nn.Linear for layer in model.model.layers for name in LINEARS)
        and sum(parameter.numel() for parameter in model.parameters()) <= LARGEST.get(model.device.type, 0)
    )


class Linear(NamedTuple):
    weight: Tensor
    bias: Tensor | None


class Layer(NamedTuple):
    """One layer's weights, those that read the same states one below the other."""

    before_attention: Tensor
    qkv: Linear
    out: Linear
    before_mlp: Tensor
    gate_up: Linear
    down: Linear


class LlamaDecoding:
    """What `sampling.Decoding` does, for these families. Products are in `dtype`, the states between them in fp32."""

    def __init__(
        self, policy: Policy, prompts: Sequence[list[int]], *, repeats: int, room: int, dtype: torch.dtype
    ) -> None:
        model, config = policy.model, policy.config
        self.repeats, self.dtype, self.epsilon = repeats, dtype, config.rms_norm_eps
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.layers = [self._layer(layer) for layer in model.model.layers]
        self.embedding, self.norm = model.get_input_embeddings().weight, model.model.norm.weight
        self.head = _fused(model.get_output_embeddings(), dtype=dtype)
        self.ids = pad_right(prompts, policy.pad).to(self.embedding.device)
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.ids.device)  # (B,)
        self.longest = self.ids.shape[1]
        self.rotation = _rotation(model.model.rotary_emb, self.longest + room, self.embedding)
        width = self.layers[0].out.weight.shape[1] // self.heads  # D
        shape = (len(self.layers), 2, len(prompts), self.groups, self.longest + room, width)
        # On processors attention to a single token takes five times as long in bf16.
        attended = torch.float32 if self.ids.device.type == "cpu" else dtype
        self.cache = torch.zeros(shape, dtype=attended, device=self.ids.device)

    def first(self) -> Tensor:
        """(prompts × repeats, V): every prompt is read once, then its keys and values repeated."""
        states = F.embedding(self.ids, self.embedding)
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            query, key, value = self._heads(states, layer, self.rotation[: self.longest, None])
            keys[:, :, : self.longest], values[:, :, : self.longest] = key, value
            # Padding on the right: what is real never looks at it.
            mixed = self._attended(query, key, value, is_causal=True)
            states = self._after(states, mixed, layer)
        last = states[torch.arange(len(states), device=states.device), self.lengths - 1]
        self.cache = self.cache.repeat_interleave(self.repeats, dim=2)
        self.lengths = self.lengths.repeat_interleave(self.repeats)
        return self._logits(last).repeat_interleave(self.repeats, dim=0)

    def next(self, tokens: Tensor) -> Tensor:
        """(B,) tokens just chosen → (B, V)."""
        places, self.longest, self.lengths = self.lengths, self.longest + 1, self.lengths + 1
        rows = torch.arange(len(tokens), device=tokens.device)
        # (B, 1, 1, T), added to the scores: of a mask of truth values every layer would make this anew.
        unseen = torch.arange(self.longest, device=tokens.device) >= self.lengths[:, None, None, None]
        mask = torch.zeros(unseen.shape, dtype=self.cache.dtype, device=tokens.device).masked_fill_(unseen, -torch.inf)
        rotation = self.rotation[places, None, None]
        states = F.embedding(tokens[:, None], self.embedding)
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            query, key, value = self._heads(states, layer, rotation)
            keys[rows, :, places], values[rows, :, places] = key[:, :, 0], value[:, :, 0]
            keys, values = keys[:, :, : self.longest], values[:, :, : self.longest]
            mixed = self._attended(query, keys, values, attn_mask=mask)
            states = self._after(states, mixed, layer)
        return self._logits(states[:, 0])

    def keep(self, kept: Tensor) -> None:
        """Go on with these rows alone, in this order; those that stay in their place are not copied."""
        moved = (kept != torch.arange(len(kept), device=kept.device)).nonzero()[:, 0]
        self.cache[:, :, moved, :, : self.longest] = self.cache[:, :, kept[moved], :, : self.longest]
        self.cache, self.lengths = self.cache[:, :, : len(kept)], self.lengths[kept]

    def _heads(self, states: Tensor, layer: Layer, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, width) → queries (B, H, T, D), keys and values (B, G, T, D), the first two turned by position."""
        mixed = F.linear(self._normed(states, layer.before_attention), *layer.qkv)
        mixed = mixed.unflatten(-1, (self.heads + 2 * self.groups, -1))  # (B, T, H + 2G, D)
        turning, value = mixed.split([self.heads + self.groups, self.groups], dim=2)
        turned = torch.view_as_complex(turning.float().unflatten(-1, (-1, 2))) * rotation
        turned = torch.view_as_real(turned).flatten(-2).to(self.cache.dtype)
        query, key = turned.split([self.heads, self.groups], dim=2)
        return query.transpose(1, 2), key.transpose(1, 2), value.to(self.cache.dtype).transpose(1, 2)

    def _attended(self, query: Tensor, keys: Tensor, values: Tensor, **options: Any) -> Tensor:
        """(B, H, T, D), computed in the cache's dtype."""
        shape, one = query.shape, query.shape[2] == 1
        if one:  # the queries that share keys are as good as several tokens: no kernel for GPUs takes a mask otherwise
            query = query.view(shape[0], self.groups, -1, shape[3])
        mixed = F.scaled_dot_product_attention(query, keys, values, enable_gqa=not one, **options)
        return mixed.reshape(shape).to(self.dtype)

    def _after(self, states: Tensor, mixed: Tensor, layer: Layer) -> Tensor:
        """The rest of a layer. states: (B, T, width), mixed: (B, H, T, D), what attention found."""
        states = states + F.linear(mixed.transpose(1, 2).flatten(2), *layer.out)
        gate, up = F.linear(self._normed(states, layer.before_mlp), *layer.gate_up).chunk(2, dim=-1)
        return states + F.linear(F.silu(gate) * up, *layer.down)

    def _logits(self, states: Tensor) -> Tensor:
        return F.linear(self._normed(states, self.norm), *self.head).float()

    def _normed(self, states: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(states, weight.shape, weight, self.epsilon).to(self.dtype)

    def _layer(self, layer: Any) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        qkv = _fused(attention.q_proj, attention.k_proj, attention.v_proj, dtype=self.dtype)
        order = _paired(self.heads + self.groups, self.groups, width=attention.head_dim).to(qkv.weight.device)
        return Layer(
            before_attention=layer.input_layernorm.weight,
            qkv=Linear(qkv.weight[order], None if qkv.bias is None else qkv.bias[order]),
            out=_fused(attention.o_proj, dtype=self.dtype),
            before_mlp=layer.post_attention_layernorm.weight,
            gate_up=_fused(mlp.gate_proj, mlp.up_proj, dtype=self.dtype),
            down=_fused(mlp.down_proj, dtype=self.dtype),
        )


def _fused(*linears: nn.Linear, dtype: torch.dtype) -> Linear:
    first, *others = linears
    weight = torch.cat([linear.weight for linear in linears]) if others else first.weight
    biases: Any = [linear.bias for linear in linears]
    return Linear(weight.to(dtype), None if biases[0] is None else torch.cat(biases).to(dtype))


def _paired(turned: int, others: int, *, width: int) -> Tensor:
    """The order of rows that brings unit i of a head beside unit i + D/2, which it is turned with.

    So a rotation is a product of complex numbers, and queries meet keys in the same order.
    """
    pairs = torch.arange(width).view(2, -1).T.flatten()
    starts = torch.arange(turned)[:, None] * width
    return torch.cat([(starts + pairs).flatten(), torch.arange(turned * width, (turned + others) * width)])


def _rotation(rotary: Any, length: int, like: Tensor) -> Tensor:
    """(length, D/2) complex numbers: what position p turns each pair of units by."""
    cos, sin = rotary(like, torch.arange(length, device=like.device)[None])
    half = cos.shape[-1] // 2
    return torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())
