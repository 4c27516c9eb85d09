"""Attention as all models here run it: over packed rows too, and in fp32 under bf16 autocast on processors.

There the bf16 backward of `scaled_dot_product_attention` takes three times what fp32 takes (measured with torch 2.13 on
AVX-512, 12 × 20 and 64 × 60 tokens), which is more than bf16 saves in all the products around it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.algorithms.shared_prompts import Layout, attend

NAME = "sdpa_in_fp32"


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
    """sdpa, in fp32 where autocast would take bf16. query, key, value: (B, heads, T, width) → (B, T, heads, width).

    Without gradients too: PPO's old log-probabilities must come from the same kernel as its new ones.
    """
    # Rotary positions leave queries and keys in fp32; autocast would turn them back.
    if value.dtype != torch.bfloat16 or query.device.type != "cpu":
        return _attention(module, query, key, value, attention_mask, layout, **options)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    if (bias := options.get("position_bias")) is not None:
        options["position_bias"] = bias.float()
    with torch.autocast(query.device.type, enabled=False):
        output, _ = _attention(module, query.float(), key.float(), value.float(), attention_mask, layout, **options)
    return output.to(value.dtype), None


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: Layout | None,
    **options: Any,
) -> tuple[Tensor, None]:
    if layout is not None:
        return attend(module, query, key, value, layout, **options), None
    output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return output


def use_it(model: Any) -> None:
    """Let the model attend through `attention`, where it would use sdpa."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
