"""Opening what a folder or the hub holds, and saying what is wrong with it. Safetensors only, no code from there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoTokenizer
from transformers.utils.peft_utils import ADAPTER_CONFIG_NAME, find_adapter_config_file

from training.algorithms import adapters
from training.algorithms.encoder import Tokenizer
from training.algorithms.errors import InputError
from training.algorithms.knobs import Optimisation


def config_of(name: str) -> Any:
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise InputError(f"{name} has no config.json. Give a Hugging Face model folder.")
        if not any(folder.glob("*.safetensors")):
            raise InputError(
                f"{name} has no *.safetensors file, and other formats can run code when opened. Convert the weights "
                "with `model.save_pretrained(folder)` of a current transformers."
            )
    elif folder.is_absolute() or name.startswith(".") or name.count("/") > 1 or folder.exists():
        raise InputError(f"There is no model folder {name}. Give a folder, or the name of a model on the hub.")
    else:
        _go_offline_where_the_hub_is_out_of_reach()
    # transformers would put it on: its weights may be pickled, and those that it names for its base lie anywhere.
    if find_adapter_config_file(name):
        raise InputError(
            f"{name} holds an adapter ({ADAPTER_CONFIG_NAME}), which is not put on. Merge it into the weights with "
            "`merge_and_unload()` of peft, and save these."
        )
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{name} cannot be opened as a model ({_first_line(error)}). Check the name, or give a folder."
        ) from error


def open_weights(kind: Any, name: str, config: Any, lora: Optimisation | None) -> Any:
    """The model; where `lora` is asked for on the frozen base that it has, or on its own weights."""
    if not lora or not lora.lora_rank:
        return _weights(kind, name, config)
    base, own = adapters.base_of(name), config
    if base != name:
        own = config_of(base)
        own.num_labels, own.pad_token_id = config.num_labels, config.pad_token_id
        own.reward_offset = getattr(config, "reward_offset", 0.0)
    model = _weights(kind, base, own)
    grow(model, config.vocab_size)
    adapters.put_on(model, name, base=base, settings=lora)
    return model


def open_classifier(kind: Any, name: str, config: Any, lora: Optimisation | None) -> Any | None:
    """A sequence classifier with a bare linear `score`, or None where the family has none."""
    if type(config) not in transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return None
    model = open_weights(kind, name, config, lora)
    score = getattr(model, "score", None)
    bare = isinstance(score, nn.Linear) and not dict(score.named_parameters()).keys() - {"weight"}
    return model if bare else None


def grow(model: Any, size: int) -> None:
    """Make room for `size` tokens. A new one gets the mean of the others: it is never likelier than one in `size`.

    A random one could outweigh them all: a GPT-2's logits are about -100, where a random row's are about 0. And the
    mean is the same each time that a base is opened.
    """
    before = model.config.vocab_size
    if size <= before:
        return
    model.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for embedding in (model.get_input_embeddings(), model.get_output_embeddings()):
            if embedding is not None:
                embedding.weight[before:] = embedding.weight[:before].mean(0)


def pad_apart(model: Any, tokenizer: Tokenizer) -> None:
    """Give the tokenizer a pad token that is not EOS: who looks for the last token that is no pad would miss EOS."""
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
        if len(tokenizer) > model.config.vocab_size:
            grow(model, len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def _weights(kind: Any, name: str, config: Any) -> Any:
    try:
        return kind.from_pretrained(
            name, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{name}, a model of type {config.model_type}, cannot be opened ({_first_line(error)}). "
            "Give a causal or sequence-to-sequence language model whose weights are in safetensors."
        ) from error


def tokenizer_of(name: str, model: Any) -> Tokenizer:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{name} has no tokenizer that opens ({_first_line(error)}). Save the tokenizer beside the model."
        ) from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"The tokenizer of {name} has no EOS token. Set eos_token in its tokenizer_config.json.")
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= model.config.vocab_size:
        raise InputError(
            f"The tokenizer of {name} makes token ids up to {largest} and its model knows {model.config.vocab_size}. "
            "Give the tokenizer that the model was trained with."
        )
    return tokenizer


def width_of(config: Any) -> int:
    return int(getattr(config, "d_model", None) or config.hidden_size)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _go_offline_where_the_hub_is_out_of_reach() -> None:
    """The hub's client tries for half a minute; one short look at it, or at the proxy, says if there is a point."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return
    hub = urlsplit(constants.ENDPOINT)
    host = hub.hostname or ""
    proxy = None if proxy_bypass(host) else getproxies().get(hub.scheme)
    address = urlsplit(proxy) if proxy else hub
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), timeout=3).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True
