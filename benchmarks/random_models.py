"""Models of random weights, for speed alone: every side of a benchmark builds the same from the same numbers.

A benchmark's `--model` is "small", for processors, or "half-billion", in the shape of Qwen2.5-0.5B, for a GPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from training.algorithms.networks import Policy
from training.algorithms.optimisation import device

VOCABULARY, PAD, EOS = 4096, 0, 1
POSITIONS = 1024
QWEN_VOCABULARY = 151_936


def tokenizer() -> PreTrainedTokenizerFast:
    """One word a token: benchmarks hand over token ids."""
    words = {"<pad>": PAD, "<eos>": EOS} | {f"w{i}": i for i in range(2, VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), pad_token="<pad>", eos_token="<eos>"
    )


def policy(family: str, *, hidden: int, layers: int = 4) -> Policy:
    """A Llama or a GPT-2 of `layers` layers, 64 units a head at most and at least four heads."""
    heads = max(4, hidden // 64)
    common: dict[str, Any] = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": None}
    torch.manual_seed(0)
    model: Any
    if family == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                **common, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                intermediate_size=hidden * 11 // 4, max_position_embeddings=POSITIONS, tie_word_embeddings=False,
            )
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(
                **common, n_embd=hidden, n_layer=layers, n_head=heads, n_positions=POSITIONS, tie_word_embeddings=False,
                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            )
        )  # fmt: skip
    return Policy(model.to(device()), tokenizer())


def half_billion_config(**options: Any) -> Qwen2Config:
    """Qwen2.5-0.5B's shape with an output layer of its own: 630 million weights."""
    return Qwen2Config(
        vocab_size=QWEN_VOCABULARY, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=32_768, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, bos_token_id=None, **options,
    )  # fmt: skip


def half_billion() -> Policy:
    torch.manual_seed(0)
    with device():
        model = Qwen2ForCausalLM(half_billion_config(pad_token_id=PAD, eos_token_id=EOS))
    return Policy(model, tokenizer())


def on_gpu() -> dict[str, Any]:
    """Which GPU a side ran on and the most memory of it that its tensors took; nothing without one."""
    if not torch.cuda.is_available():
        return {}
    return {"gpu": torch.cuda.get_device_name(), "gpu_peak_mb": round(torch.cuda.max_memory_allocated() / 2**20)}


@torch.no_grad()
def end_after(made: Policy, tokens: float) -> None:
    """Let the model end its completions after about so many tokens (a geometric distribution of lengths).

    One unit is the same large number in every embedding, and the output reads it for EOS alone: after the last norm it
    is nearly constant, and so is the probability of EOS.
    """
    embedding, output = made.model.get_input_embeddings().weight, made.model.get_output_embeddings().weight
    embedding[:, 0] = 1.0
    some = torch.arange(2, 66, device=output.device)[None]
    states = made.model.base_model(input_ids=some, use_cache=False).last_hidden_state
    output[:, 0] = 0.0
    output[EOS] = 0.0
    others = (states @ output.T).exp().sum(-1).mean()
    output[EOS, 0] = math.log(float(others) / tokens) / float(states[..., 0].mean())
