"""Tiny models of three families, built from config and saved as ordinary folders, and rows to train them on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from training.algorithms.starter_model import PAD, train_tokenizer

WORDS = "red green blue cat dog bird runs sleeps sings the a one two three good bad".split()
FAMILIES = ("llama", "gpt2", "t5")


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 300 tokens: with a chat template for the Llama, EOS as pad for the GPT-2."""
    made = train_tokenizer([" ".join(WORDS)] * 4, vocab_size=300)
    if family == "llama":
        return made
    if family == "t5":
        made.chat_template = None
        return made
    renamed = made.backend_tokenizer.to_str().replace(PAD, "<|endoftext|>")
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(renamed), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def build(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Save a tiny model of the family with its tokenizer; the folder."""
    torch.manual_seed(seed)
    words = tokenizer(family)
    common = {"vocab_size": len(words), "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    model: Any
    if family == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                **common, bos_token_id=None, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, intermediate_size=48, max_position_embeddings=256, initializer_range=0.1,
            )
        )  # fmt: skip
    elif family == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                **common, bos_token_id=None, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.1
            )
        )
    else:
        model = T5ForConditionalGeneration(
            T5Config(
                **common,
                decoder_start_token_id=words.pad_token_id,
                d_model=32,
                d_ff=48,
                d_kv=8,
                num_layers=2,
                num_heads=4,
            )
        )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sentences(count: int, *, start: int = 0) -> list[str]:
    """Different short sentences of the words that the tokenizers know."""
    picks = [(i * 7, i * 11 + 1, i * 13 + 2, i * 5 + 3) for i in range(start, start + count)]
    return [" ".join(WORDS[i % len(WORDS)] for i in pick) for pick in picks]


def corpus(folder: Path) -> dict[str, str]:
    """One small file of every kind of row, with a planted preference: an answer of "good" beats one of "bad"."""
    said = sentences(12)
    files = {
        "texts": [{"text": each} for each in said[:6]]
        + [{"messages": [{"role": "user", "content": each}, {"role": "assistant", "content": "good"}]}
           for each in said[6:]],
        "demonstrations": [{"prompt": each, "completion": "good dog"} for each in said],
        "rankings": [
            {"prompt": each, "completions": [{"text": "bad " + each, "rank": 2}, {"text": "good " + each, "rank": 1},
                                             {"text": "bad", "rank": 2}]}
            for each in said
        ],
        "prompts": [{"id": i, "prompt": each} for i, each in enumerate(said)],
        "held-out": [{"prompt": each, "completion": "good dog"} for each in sentences(4, start=20)],
    }  # fmt: skip
    return {name: str(write(folder / f"{name}.jsonl", rows)) for name, rows in files.items()}
