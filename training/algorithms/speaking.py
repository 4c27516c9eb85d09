"""One completion, token by token as it is chosen, and what a model makes of it: for people who talk to a model.

The same numbers as `sampling` and `losses`, for one row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.algorithms import losses, sampling
from training.algorithms.data import Row
from training.algorithms.llama_decoding import LlamaDecoding, fits
from training.algorithms.networks import Policy, Scorer

UNFINISHED = "\ufffd"  # what the bytes of a character decode to before the last of them is there


@dataclass(frozen=True)
class Cell:
    """The least run of tokens that is whole characters; an empty text is that of tokens without any, such as EOS."""

    text: str
    tokens: int


@torch.no_grad()
def speak(policy: Policy, prompt: list[int], *, seed: int, settings: sampling.Settings) -> Iterator[int]:
    """The tokens that `sampling.sample` draws with this seed in fp32, each as soon as it is chosen; EOS comes too."""
    draws = np.random.Generator(np.random.Philox(key=seed)).random(settings.max_new_tokens)
    uniforms = torch.from_numpy(draws).to(policy.model.device)
    decoding: LlamaDecoding | sampling.Decoding
    if fits(policy.model):
        room = settings.max_new_tokens
        decoding = LlamaDecoding(policy, [prompt], repeats=1, room=room, dtype=torch.float32)
    else:
        decoding = sampling.Decoding(policy, [prompt], repeats=1)
    logits = decoding.first()
    for t in range(settings.max_new_tokens):
        chosen = sampling.choose(logits, uniforms[t : t + 1], settings)
        yield int(chosen)
        if int(chosen) == policy.encoder.eos or t + 1 == settings.max_new_tokens:
            return
        logits = decoding.next(chosen)


class Pieces:
    """Text that grows by a token at a time, told as soon as it is certain: never half of a character."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self.tokens: list[int] = []
        self.text = ""  # told so far
        self._decode = decode

    def add(self, token: int) -> str:
        """What the token adds to the text; "" while more bytes of its character are to come."""
        self.tokens.append(token)
        return self._tell(self._decode(self.tokens).rstrip(UNFINISHED))

    def rest(self) -> str:
        """What is left once no token follows: bytes that never became a character, as U+FFFD."""
        return self._tell(self._decode(self.tokens))

    def _tell(self, text: str) -> str:
        if not text.startswith(self.text):  # a tokenizer that tidies spaces up as it goes; the next token settles it
            return ""
        new, self.text = text[len(self.text) :], text
        return new


def cells(decode: Callable[[Sequence[int]], str], tokens: Sequence[int]) -> list[Cell]:
    """The tokens in runs that are whole characters, so that each can be shown: the texts together are the text."""
    pieces, found, pending = Pieces(decode), list[Cell](), 0
    for token in tokens:
        pending += 1
        if piece := pieces.add(token):
            found.append(Cell(piece, pending))
            pending = 0
    return [*found, Cell(pieces.rest(), pending)] if pending else found


@torch.no_grad()
def logprobs(policy: Policy, row: Row) -> list[float]:
    """log p of each completion token, in nats at temperature 1, from one plain forward pass over the row."""
    policy.eval()
    batch = policy.collate([row])
    found: list[float] = losses.token_logprobs(policy.logits(batch), batch.targets).tolist()
    return found


@torch.no_grad()
def reward(scorer: Scorer, row: Row) -> float:
    scorer.eval()
    return float(scorer.rewards(scorer.collate([row]))[0])


def fitted(policy: Policy, prompt: list[int], *, max_new_tokens: int) -> list[int]:
    """The end of the prompt that leaves room for the completion among the positions that the model has."""
    positions: int | None = getattr(policy.config, "max_position_embeddings", None)
    return prompt[-max(1, positions - max_new_tokens) :] if positions else prompt


def vocabulary(policy: Policy) -> str:
    """A digest of which token has which id: equal digests mean that one model can judge the other's token ids."""
    known = dict(policy.tokenizer.get_vocab())
    if policy.tokenizer.pad_token_id != policy.tokenizer.eos_token_id:
        known.pop(policy.tokenizer.pad_token, None)  # training may have added it to one of the two
    return hashlib.sha256(json.dumps(sorted(known.items())).encode()).hexdigest()
