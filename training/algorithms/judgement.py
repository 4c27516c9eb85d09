"""How well a reward model judges rankings that it has not seen, as pure functions on its scores.

N pairs of outputs of unequal rank, pooled over the rankings, the better output first in each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.algorithms.data import Row

FLATTEST = 0.01  # a scale that leaves the order of scores, and of their weight next to nothing
BINS = 10  # of the reliability table, from one half to 1
FURTHEST = 5  # places between two ranks, beyond which pairs are told together


class Pairs(NamedTuple):
    """All (N,). margins: r_better - r_worse. gaps: places from the one rank to the other. longer: tokens more."""

    margins: Tensor
    gaps: Tensor
    longer: Tensor


def pairs_of(rewards: Tensor, ranks: Sequence[float], lengths: Sequence[int]) -> Pairs:
    """The pairs of one ranking; ties are in none. rewards: (K,), a lower rank is better, lengths in tokens."""
    places = torch.tensor([sorted(set(ranks)).index(rank) for rank in ranks])  # ranks without holes
    sizes = torch.tensor(lengths)
    better, worse = (places[:, None] < places[None, :]).nonzero(as_tuple=True)
    rewards = rewards.detach().float().cpu()
    return Pairs(rewards[better] - rewards[worse], places[worse] - places[better], sizes[better] - sizes[worse])


def pooled(each: Sequence[Pairs]) -> Pairs:
    return Pairs(*(torch.cat(columns) for columns in zip(*each, strict=True)))


def share_right(margins: Tensor) -> float:
    """Share of pairs ordered rightly, an even one half right; nan where there is none. margins: (N,)."""
    return float((0.5 + 0.5 * margins.sign()).mean())


def by_gap(pairs: Pairs) -> list[dict[str, float]]:
    """Accuracy at each distance of ranks; the last line has the furthest and all beyond."""
    gaps = pairs.gaps.clamp(max=FURTHEST)
    return [
        {"gap": gap, "accuracy": share_right(pairs.margins[gaps == gap]), "pairs": int((gaps == gap).sum())}
        for gap in sorted(set(gaps.tolist()))
    ]


def reliability(margins: Tensor) -> list[dict[str, float]]:
    """For pairs of like P(better) = σ(|margin|), what the model claims and how often it is right. margins: (N,)."""
    claimed = margins.abs().sigmoid()
    bins = ((claimed - 0.5) * 2 * BINS).long().clamp(max=BINS - 1)
    return [
        {
            "from": 0.5 + b / (2 * BINS),
            "predicted": float(claimed[bins == b].mean()),
            "right": share_right(margins[bins == b]),
            "pairs": int((bins == b).sum()),
        }
        for b in sorted(set(bins.tolist()))
    ]


def calibration_error(table: Sequence[dict[str, float]]) -> float:
    """Expected calibration error: the mean over pairs of |predicted - right| of their bin (arXiv 1706.04599, eq. 3)."""
    total = sum(line["pairs"] for line in table)
    return sum(line["pairs"] * abs(line["predicted"] - line["right"]) for line in table) / total


def calibrating_scale(loss: Callable[[float], float]) -> float:
    """The factor on a reward model's scores, FLATTEST to 1, at which its loss on held-out rankings is least.

    A model that learnt little claims too much, and PPO would follow it as one that knows. Scaled, a point of reward is
    a nat of held-out odds whatever the model, and so kl_coef has one meaning (temperature scaling, arXiv 1706.04599,
    4.2, of scores instead of logits). Never above 1: few rankings that all agree prove no certainty.

    loss: the mean loss with all scores times the factor; convex in it, so that golden sections find the least one.
    """
    low, high = FLATTEST, 1.0
    golden = (5**0.5 - 1) / 2
    for _ in range(20):  # to 1e-4
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return min((1.0, (low + high) / 2, FLATTEST), key=loss)


def length_correlation(rewards: Sequence[Tensor], lengths: Sequence[Sequence[int]]) -> float:
    """Correlation of score and tokens among the outputs of a prompt; nan where either never differs. (K,) each."""
    centred = [(scores.float().cpu() - scores.float().cpu().mean()) for scores in rewards]
    sizes = [torch.tensor(each).float() - torch.tensor(each).float().mean() for each in lengths]
    return float(torch.corrcoef(torch.stack([torch.cat(centred), torch.cat(sizes)]))[0, 1])


def agreement(rankings: Sequence[tuple[Sequence[Row], Sequence[float]]]) -> tuple[float, int]:
    """Share of pairs that two annotators of the same outputs order alike, of those that neither ties; and how many."""
    same = defaultdict[Any, list[list[float]]](list)
    for rows, ranks in rankings:
        order = sorted(range(len(rows)), key=lambda i: rows[i].completion)
        same[tuple(rows[0].prompt), tuple(tuple(rows[i].completion) for i in order)].append([ranks[i] for i in order])
    alike, compared = 0, 0
    for one, other in (two for annotators in same.values() for two in combinations(annotators, 2)):
        for i, j in combinations(range(len(one)), 2):
            product = (one[i] - one[j]) * (other[i] - other[j])
            alike, compared = alike + (product > 0), compared + (product != 0)
    return alike / max(compared, 1), compared
