"""Sampling completions with a key-value cache: any transformers model, causal or sequence-to-sequence.

By default from the policy's own distribution (temperature 1, no top-k, no top-p). Each completion has its own seed, so
it does not depend on what is sampled beside it. B rows alive, V tokens in the vocabulary.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.algorithms.cache import new_cache
from training.algorithms.data import lengths_mask, pad_right
from training.algorithms.errors import Stopped
from training.algorithms.llama_decoding import LlamaDecoding, fits
from training.algorithms.networks import Policy
from training.algorithms.optimisation import arithmetic, device, dtype_for
from training.algorithms.run_folder import never

# Dropping finished rows moves others in the cache: worth it once a sixteenth of them has finished.
DROP_SHARE = 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    precision: str = "fp32"


@dataclass(frozen=True)
class Sampled:
    """tokens end in EOS if finished. logprob: the policy's own, summed over the tokens, at temperature 1."""

    tokens: list[int]
    logprob: float
    finished: bool
    seed: int


def seed_for(*parts: object) -> int:
    """A seed below 2^31 from whatever tells one completion from another."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def batches_of_prompts(lengths: Sequence[int], *, repeats: int, rows: int) -> Iterator[list[int]]:
    """Prompt numbers, like lengths together, about `rows` completions a batch; the same for the same arguments."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    size = max(1, rows // repeats)
    for i in range(0, len(order), size):
        yield order[i : i + size]


@torch.no_grad()
def sample(
    policy: Policy,
    prompts: Sequence[list[int]],
    *,
    seeds: Sequence[Sequence[int]],
    settings: Settings,
    should_stop: Callable[[], bool] = never,
) -> list[list[Sampled]]:
    """One completion for each seed of each prompt; all prompts must have the same number of seeds.

    Raises Stopped between two tokens when asked to.
    """
    if not prompts:
        return []
    repeats = len(seeds[0])
    flat = [seed for each in seeds for seed in each]
    uniforms = torch.from_numpy(_uniforms(flat, settings.max_new_tokens)).to(policy.model.device)
    tokens = torch.zeros(len(flat), settings.max_new_tokens, dtype=torch.long, device=uniforms.device)
    logprobs = torch.zeros(len(flat), device=uniforms.device)
    sizes = torch.zeros(len(flat), dtype=torch.long, device=uniforms.device)
    alive = torch.arange(len(flat), device=uniforms.device)
    done = torch.zeros(len(flat), dtype=torch.bool, device=uniforms.device)
    eos = policy.encoder.eos
    fused = fits(policy.model)
    # Fused decoding names the dtype of each product itself: autocast would only look at every step of it.
    with contextlib.nullcontext() if fused else arithmetic(_precision(settings)):
        decoding = _decoding(policy, prompts, repeats=repeats, settings=settings, fused=fused)
        logits = decoding.first()
        for t in range(settings.max_new_tokens):
            if should_stop():
                raise Stopped
            chosen = choose(logits, uniforms[alive, t], settings)
            going = ~done[alive]
            tokens[alive, t] = torch.where(going, chosen, 0)
            logprobs[alive] += torch.where(going, _logprob(logits, chosen), 0)
            sizes[alive] += going
            done[alive] |= chosen == eos
            going = ~done[alive]
            count = int(going.sum())
            if count == 0 or t + 1 == settings.max_new_tokens:
                break
            if len(alive) - count >= max(1, len(alive) // DROP_SHARE):
                kept = _closed_up(going, count)
                decoding.keep(kept)
                alive, chosen = alive[kept], chosen[kept]
            logits = decoding.next(chosen)
    flat_sampled = [
        Sampled(row[:size], logprob, finished, seed)
        for row, size, logprob, finished, seed in zip(
            tokens.tolist(), sizes.tolist(), logprobs.tolist(), done.tolist(), flat, strict=True
        )
    ]
    return [flat_sampled[i : i + repeats] for i in range(0, len(flat_sampled), repeats)]


def choose(logits: Tensor, uniform: Tensor, settings: Settings) -> Tensor:
    """The tokens where the cumulated distribution passes `uniform`. logits: (B, V), uniform: (B,) in [0, 1) → (B,)."""
    if settings.temperature == 0:
        return logits.argmax(-1)
    return _passing(_narrowed(logits.float() / settings.temperature, settings).softmax(-1), uniform)


def _passing(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The first tokens whose cumulated probability passes the uniform share of the whole. Shapes as in `choose`.

    First the block of tokens in which that happens, then the token: one sum over few long rows keeps a GPU waiting. In
    fp64, since a sum of fp32 over a large vocabulary misses the last tokens.
    """
    count = probabilities.shape[1]
    size = math.isqrt(count - 1) + 1
    blocks = F.pad(probabilities, (0, -count % size)).double().unflatten(1, (-1, size))  # (B, V / size, size)
    cumulated = blocks.sum(-1).cumsum(-1)
    whole = cumulated[:, -1:]
    share = torch.minimum(uniform[:, None] * whole, whole.nextafter(torch.zeros_like(whole)))
    block = torch.searchsorted(cumulated, share, right=True)  # (B, 1)
    within = blocks.gather(1, block[..., None].expand(-1, -1, size))[:, 0].cumsum(-1)  # (B, size)
    before = F.pad(cumulated, (1, 0)).gather(1, block)
    # The block's last token is passed whatever rounding made of the two sums.
    passed = torch.where(within == within[:, -1:], torch.inf, before + within)
    return (block * size + torch.searchsorted(passed, share, right=True))[:, 0]


def _closed_up(going: Tensor, count: int) -> Tensor:
    """The rows still going, (count,): the last of them take the places of those that are done, the others stay."""
    kept = torch.arange(count, device=going.device)
    kept[~going[:count]] = count + going[count:].nonzero()[:, 0]
    return kept


def _decoding(
    policy: Policy, prompts: Sequence[list[int]], *, repeats: int, settings: Settings, fused: bool
) -> Decoding | LlamaDecoding:
    if fused:
        room, dtype = settings.max_new_tokens, dtype_for(_precision(settings))
        return LlamaDecoding(policy, prompts, repeats=repeats, room=room, dtype=dtype)
    return Decoding(policy, prompts, repeats=repeats)


def _precision(settings: Settings) -> str:
    """Autocast turns every weight into bf16 anew at every token: on a processor that takes longer than it saves."""
    return "fp32" if settings.precision == "auto" and device().type == "cpu" else settings.precision


def _narrowed(logits: Tensor, settings: Settings) -> Tensor:
    """-inf outside the top k and outside the smallest set that holds top_p of the probability."""
    if 0 < settings.top_k < logits.shape[-1]:
        bound = logits.topk(settings.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < bound, -torch.inf)
    if settings.top_p < 1:
        ordered, index = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        outside = probabilities.cumsum(-1) - probabilities >= settings.top_p
        logits = ordered.masked_fill(outside, -torch.inf).gather(1, index.argsort(1))
    return logits


def _logprob(logits: Tensor, chosen: Tensor) -> Tensor:
    logits = logits.float()
    return logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)


def _uniforms(seeds: Sequence[int], count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(len(seeds), count) numbers in [0, 1). Philox is keyed: neighbouring seeds give unrelated streams."""
    return np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds])


class Decoding:
    """The model, its cache and its masks, one token at a time for the rows that are alive."""

    def __init__(self, policy: Policy, prompts: Sequence[list[int]], *, repeats: int) -> None:
        self.model, self.repeats = policy.model, repeats
        place = policy.model.device
        self.encoded: Any = None
        if policy.seq2seq:
            ids = pad_right(prompts, policy.pad).to(place)
            self.mask = lengths_mask(list(map(len, prompts)), ids.shape[1]).long().to(place)
            self.encoded = self.model.get_encoder()(input_ids=ids, attention_mask=self.mask)
            self.ids = torch.full((len(prompts), 1), policy.start, device=place)
        else:
            # On the left, so that all rows write their next token in the same column.
            self.ids = pad_right([prompt[::-1] for prompt in prompts], policy.pad).flip(1).to(place)
            self.mask = lengths_mask(list(map(len, prompts)), self.ids.shape[1]).flip(1).long().to(place)
        self.cache: Any = new_cache(self.model.config)

    def first(self) -> Tensor:
        """(prompts × repeats, V): every prompt is read once, then its cache repeated."""
        logits = self._forward(self.ids, (self.mask.cumsum(1) - 1).clamp(min=0))
        if self.repeats > 1:
            self.cache.batch_repeat_interleave(self.repeats)
            self._rows(torch.arange(len(logits), device=logits.device).repeat_interleave(self.repeats))
            logits = logits.repeat_interleave(self.repeats, dim=0)
        return logits

    def next(self, tokens: Tensor) -> Tensor:
        """(B,) tokens just chosen → (B, V)."""
        if self.encoded is None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        return self._forward(tokens[:, None], self.mask.sum(1, keepdim=True) - 1)

    def keep(self, kept: Tensor) -> None:
        """Go on with these rows alone."""
        self.cache.batch_select_indices(kept)
        self._rows(kept)

    def _rows(self, rows: Tensor) -> None:
        self.mask = self.mask[rows]
        if self.encoded is not None:
            self.encoded.last_hidden_state = self.encoded.last_hidden_state[rows]

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        if self.encoded is not None:
            inputs = {"encoder_outputs": self.encoded, "decoder_input_ids": ids}
        else:
            inputs = {"input_ids": ids, "position_ids": positions, "logits_to_keep": 1}
        output = self.model(**inputs, attention_mask=self.mask, past_key_values=self.cache, use_cache=True)
        logits: Tensor = output.logits[:, -1]
        return logits
