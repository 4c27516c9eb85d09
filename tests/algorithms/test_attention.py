"""Attention on processors gives what `scaled_dot_product_attention` gives, in whatever way it is computed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.algorithms import attention

HEADS, GROUPS, WIDTH = 4, 2, 8


def states(rows: int, length: int, *, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of random numbers, two heads to each group of keys."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(rows, heads, length, WIDTH, generator=generator).to(dtype).requires_grad_()
        for heads in (HEADS, GROUPS, GROUPS)
    )
    return query, key, value


def layer() -> nn.Module:
    made = nn.Module()
    made.num_key_value_groups = HEADS // GROUPS
    return made


def seen(rows: int, length: int) -> Tensor:
    """Which tokens each token sees: itself, and the first few of its row."""
    first = torch.arange(length) < torch.arange(1, rows + 1)[:, None]
    return (first[:, None] | torch.eye(length, dtype=torch.bool))[:, None]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [7, attention.SHORT + 1], ids=["short", "long"])
def test_under_bf16_attention_and_its_gradients_are_near_those_in_fp32(length: int, *, masked: bool) -> None:
    mask = seen(3, length) if masked else None
    exact = states(3, length, dtype=torch.float32)
    wanted = F.scaled_dot_product_attention(*exact, attn_mask=mask, is_causal=not masked, enable_gqa=True)
    rounded = states(3, length, dtype=torch.bfloat16)
    found, _ = attention.attention(layer(), *rounded, mask)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.transpose(1, 2).float(), wanted, atol=0.03)
    slopes = [torch.autograd.grad((each.float() ** 2).sum(), of) for each, of in ((wanted, exact), (found, rounded))]
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other.float(), atol=0.03 * float(one.abs().max()))


@pytest.mark.parametrize("masked", [False, True])
def test_two_products_and_a_softmax_are_attention_in_one_go_or_several(
    monkeypatch: pytest.MonkeyPatch, *, masked: bool
) -> None:
    query, key, value = states(5, 6, dtype=torch.float32)
    mask = seen(5, 6) if masked else torch.ones(6, 6, dtype=torch.bool).tril()
    wanted = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    for at_once in (attention.AT_ONCE, 2 * HEADS * 6 * 6):  # five rows, then two at a time
        monkeypatch.setattr(attention, "AT_ONCE", at_once)
        assert torch.allclose(attention._short(query, key, value, mask, scaling=None), wanted, atol=1e-6)


def test_what_sees_nothing_spoils_nothing() -> None:
    """Padding on the left: in the next layer a NaN of its own would reach those that give it no weight."""
    query, key, value = states(2, 5, dtype=torch.bfloat16)
    mask = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5).clone()
    mask[0, :, :, :2] = False
    found, _ = attention.attention(layer(), query, key, value, mask)
    wanted, _ = attention.attention(layer(), *(each[:1, :, 2:] for each in (query, key, value)), None)
    assert found.isfinite().all()
    assert torch.allclose(found[:1, 2:].float(), wanted.float(), atol=0.01)
