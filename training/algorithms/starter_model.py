"""A small Llama and its tokenizer, made from nothing but texts: to try the loop where no model can be had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.algorithms.hyperparameters import Pretrain
from training.algorithms.networks import Policy
from training.algorithms.optimisation import device

PAD, EOS = "<|pad|>", "<|end|>"
ROLES = ("system", "user", "assistant")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}"
    "{% if message.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def texts_of(rows: Iterable[dict[str, Any]]) -> Iterable[str]:
    """What the tokenizer learns from: texts, and the contents of messages."""
    for row in rows:
        if "messages" in row:
            yield from (message["content"] for message in row["messages"])
        else:
            yield row["text"]


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE: any text can be written in it, Chinese included, and read back unchanged."""
    tokenizer = Tokenizer(models.BPE())
    # Chinese has no spaces: its characters are kept apart, or the tokens would be whole phrases of the corpus.
    characters = pre_tokenizers.Split(Regex("[\u4e00-\u9fff]"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([characters, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    specials = [PAD, EOS, *(f"<|{role}|>" for role in ROLES)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=specials[2:],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build(texts: Iterable[str], settings: Pretrain) -> Policy:
    """A Llama with fresh weights (a function of the seed) and a tokenizer trained on the texts."""
    tokenizer = train_tokenizer(texts, vocab_size=settings.vocab_size)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.max_position_embeddings,
        tie_word_embeddings=settings.tie_word_embeddings,
        initializer_range=settings.initializer_range,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(settings.seed)
    model: Any = LlamaForCausalLM(config)
    return Policy(model.to(device()), tokenizer)
