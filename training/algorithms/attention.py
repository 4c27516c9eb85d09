"""Attention as all models here run it: over packed rows too, and in kernels of its own choice under bf16 on processors.

There the bf16 backward of `scaled_dot_product_attention` takes three times what fp32 takes (measured with torch 2.13 on
AVX-512, 12 × 20 and 64 × 60 tokens), which is more than bf16 saves in all the products around it. Where rows are short,
two products in bf16 with the softmax between them in fp32 take half of what it takes in fp32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.algorithms.shared_prompts import Layout, attend

NAME = "sdpa_on_processors"
SHORT = 256  # tokens that are seen: the scores of longer rows take more memory than they save time
UNSEEN = -1e30  # not infinite: padding on the left sees nothing, and its NaN would spread
AT_ONCE = 2**20  # scores, so that they stay in the processor's cache


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query: (B, heads, T, width), key and value: (B, groups, S, width) → (B, T, heads, width).

    Without gradients it takes the same kernel: PPO's old log-probabilities must come from that of its new ones.
    """
    # Rotary positions leave queries and keys in fp32, so it is the values that tell autocast's dtype.
    kernel = _on_processor if value.dtype == torch.bfloat16 and query.device.type == "cpu" else sdpa_attention_forward
    if layout is not None:
        return attend(kernel, module, query, key, value, layout, **options), None
    output: tuple[Tensor, None] = kernel(module, query, key, value, attention_mask, **options)
    return output


def _on_processor(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """`sdpa_attention_forward` under bf16 autocast: in bf16 and fp32 where rows are short, else in fp32."""
    plain = options.get("position_bias") is None and not options.get("dropout")
    boolean = attention_mask is None or attention_mask.dtype == torch.bool
    with torch.autocast(query.device.type, enabled=False):
        if plain and boolean and key.shape[2] <= SHORT and query.shape[2] > 1:
            causal = attention_mask is None and getattr(module, "is_causal", True)
            seen = query.new_ones(key.shape[2], key.shape[2], dtype=torch.bool).tril() if causal else attention_mask
            output = _short(query, key, value, seen, scaling=options.get("scaling"))
            return output.transpose(1, 2), None
        if attention_mask is not None and attention_mask.is_floating_point():
            attention_mask = attention_mask.float()
        if (bias := options.get("position_bias")) is not None:
            options["position_bias"] = bias.float()
        output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)
    return output.to(value.dtype), None


def _short(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, *, scaling: float | None) -> Tensor:
    """Products in value's dtype, the softmax in fp32. Shapes as in `attention`, seen: (B or 1, 1, T, S) or (T, S)."""
    (rows, heads, length, width), reach = query.shape, key.shape[2]
    unseen = query.new_zeros((), dtype=value.dtype)
    if seen is not None:
        unseen = query.new_zeros(seen.shape, dtype=value.dtype).masked_fill(~seen, UNSEEN)
    unseen = unseen.expand(rows, heads, length, reach)
    share = heads // key.shape[1]  # heads that read the same keys and values
    query, key = query.to(value.dtype), key.to(value.dtype)
    if share > 1:
        key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
    size = max(1, AT_ONCE // (heads * length * reach))
    found = []
    for q, k, v, bias in zip(*(each.split(size) for each in (query, key, value, unseen)), strict=True):
        q, k, v, bias = (each.flatten(0, 1) for each in (q, k, v, bias))
        scores = torch.baddbmm(bias, q, k.mT, alpha=width**-0.5 if scaling is None else scaling)
        found.append(torch.bmm(F.softmax(scores, -1, dtype=torch.float32).to(v.dtype), v))
    return torch.cat(found).view(rows, heads, length, width)


def use_it(model: Any) -> None:
    """Let the model attend through `attention`, where it would use sdpa."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
