"""Completions of a prompt in one packed row, in which the prompt is run once and nothing is padded but attention.

The row holds each prompt and then its completions, N tokens in all; the position ids of a completion go on from its
prompt's. A completion sees its prompt and itself.

Only attention must know of it. There the tokens are laid out side by side in blocks of pieces (prompts, completions) of
like length, and the keys and values of a completion stand behind those of its prompt. A mask over the whole row would
cost N² instead: for nine completions of 200 tokens more than all the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.algorithms.data import Row, lengths_mask, pad_right

Groups = Sequence[Sequence[Row]]  # the rows of a group have the same prompt
Kernel = Callable[..., tuple[Tensor, None]]  # called as transformers calls attention
GROWTH = 1.5  # no piece of a block is longer than so many times its shortest


class Piece(NamedTuple):
    """A prompt, or a completion with its prompt before it, as places in the packed row."""

    before: range
    own: range


@dataclass(frozen=True)
class Block:
    """R pieces of at most C tokens behind prompts of at most P. mask: (R, 1, C, P + C), what each token sees."""

    rows: int
    before: int
    own: int
    mask: Tensor | None  # None: there are no prompts before, and a token sees those before it

    @property
    def seen(self) -> int:
        return self.before + self.own


@dataclass(frozen=True)
class Layout:
    """Which tokens of the packed row attention has where, block by block.

    queries: (sum of R · C,) and keys: (sum of R · (P + C),), tokens. places: (N,), where each token is in queries.
    """

    blocks: list[Block]
    queries: Tensor
    keys: Tensor
    places: Tensor


@dataclass(frozen=True)
class Packed:
    """inputs: what a causal model's forward takes. ends: (R,), the token that ends each row, group by group."""

    inputs: dict[str, Any]
    ends: Tensor


def pack(groups: Groups, *, device: torch.device) -> Packed:
    """All groups in one row: each prompt, then its completions."""
    ids, positions, pieces, ends = list[int](), list[int](), list[Piece](), list[int]()
    for group in groups:
        prompt = range(len(ids), len(ids) + len(group[0].prompt))
        ids += group[0].prompt
        positions += range(len(prompt))
        pieces.append(Piece(range(0), prompt))
        for row in group:
            pieces.append(Piece(prompt, range(len(ids), len(ids) + len(row.completion))))
            ids += row.completion
            positions += range(len(prompt), row.length)
            ends.append(len(ids) - 1)
        if len(group) == 1:  # a completion that shares with no other is of one piece with its prompt
            pieces[-2:] = [Piece(range(0), range(prompt.start, len(ids)))]
    inputs = {
        "input_ids": torch.tensor([ids], device=device),
        "position_ids": torch.tensor([positions], device=device),
        # Four dimensions keep transformers from making a mask of N × N; the layout has masks of its own.
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
        "layout": _layout(pieces, device=device),
    }
    return Packed(inputs, torch.tensor(ends, device=device))


def ends(backbone: Any, groups: Groups, *, device: torch.device) -> Tensor:
    """(R, width): the backbone's state that has read each row's last token, group by group."""
    packed = pack(groups, device=device)
    states: Tensor = backbone(**packed.inputs, use_cache=False).last_hidden_state
    return states[0, packed.ends]


def sample(vocabulary: int) -> Groups:
    """A few short rows on which it shows whether a model takes packed ones."""
    ids = [token % vocabulary for token in range(1, 10)]
    return [[Row(ids[:2], ids[2:5]), Row(ids[:2], ids[5:6])], [Row(ids[4:7], ids[1:3]), Row(ids[4:7], ids[6:])]]


def reach(config: Any) -> float:
    """How many tokens a state sees at most, in the layers that see fewest."""
    limits = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((limit for limit in limits if limit), default=math.inf)


def attend(
    kernel: Kernel, module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, layout: Layout, **options: Any
) -> Tensor:
    """Attention over a packed row, block by block. query, key, value: (1, heads, N, width) → (1, N, heads, width)."""
    queries = _laid_out(query, layout.queries, [(block.rows, block.own) for block in layout.blocks])
    keys, values = (
        _laid_out(states, layout.keys, [(block.rows, block.seen) for block in layout.blocks]) for states in (key, value)
    )
    found = [
        kernel(module, q, k, v, block.mask, **options)[0].flatten(0, 1)
        for block, q, k, v in zip(layout.blocks, queries, keys, values, strict=True)
    ]
    return torch.cat(found).index_select(0, layout.places)[None]


def _laid_out(states: Tensor, tokens: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """(1, heads, N, width) → (rows, heads, length, width) for each of the shapes."""
    laid = states[0].index_select(1, tokens).split([rows * length for rows, length in shapes], dim=1)
    return [part.unflatten(1, shape).transpose(0, 1) for part, shape in zip(laid, shapes, strict=True)]


def _layout(pieces: Sequence[Piece], *, device: torch.device) -> Layout:
    blocks, queries, keys, filled = list[Block](), list[Tensor](), list[Tensor](), list[Tensor]()
    for alike in _alike(pieces):
        # Where a piece is padded it repeats token 0, which no token of the block sees there.
        own, before = (pad_right([getattr(piece, part) for piece in alike], pad=0).long() for part in ("own", "before"))
        mask = _mask([len(piece.before) for piece in alike], own.shape[1]) if before.numel() else None
        blocks.append(Block(len(alike), before.shape[1], own.shape[1], None if mask is None else mask.to(device)))
        queries.append(own.flatten())
        keys.append(torch.cat([before, own], dim=1).flatten())
        filled.append(lengths_mask([len(piece.own) for piece in alike], own.shape[1]).flatten())
    tokens, place = torch.cat(queries), torch.cat(filled).nonzero()[:, 0]
    places = torch.empty_like(place).index_copy(0, tokens[place], place)
    return Layout(blocks, tokens.to(device), torch.cat(keys).to(device), places.to(device))


def _alike(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces in sets of like length, prompts apart from completions."""
    sets: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda each: (len(each.before) > 0, len(each.own))):
        first = sets[-1][0] if sets else None
        if first is None or bool(first.before) != bool(piece.before) or len(piece.own) > GROWTH * len(first.own):
            sets.append([])
        sets[-1].append(piece)
    return sets


def _mask(prompts: Sequence[int], longest: int) -> Tensor:
    """(R, 1, C, P + C): a token sees its prompt, of which the length is given, those before it and itself."""
    seen = lengths_mask(prompts, max(prompts))[:, None].expand(-1, longest, -1)
    causal = torch.ones(longest, longest, dtype=torch.bool).tril().expand(len(prompts), -1, -1)
    return torch.cat([seen, causal], dim=2)[:, None]
