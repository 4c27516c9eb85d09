"""How far annotators agree."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from annotation.models import Ranking

Z95 = 1.959964
Who = int | str | None


class Agreement(NamedTuple):
    """A share from 0 to 1 with its 95% interval, over `pairs` judgements compared. All NaN where there are none."""

    value: float
    low: float
    high: float
    pairs: int


def pairwise_agreement(rankings: Iterable[Ranking]) -> Agreement:
    """How often two annotators say the same of two outputs that both ranked.

    The same order and the same tie count 1, an order against a tie counts 1/2, opposite orders count 0: the distance
    of the two answers on the scale worse, equal, better. The interval is for new prompts, not new pairs: pairs of one
    prompt depend on each other, so the prompts are the units of its variance (a ratio's, linearised).
    """
    by_prompt: dict[int, list[Ranking]] = defaultdict(list)
    for ranking in rankings:
        by_prompt[ranking.prompt_id].append(ranking)
    counted = [_counted(of_prompt) for of_prompt in by_prompt.values()]
    units = [(agreed, pairs) for agreed, pairs in counted if pairs]
    pairs = sum(count for _agreed, count in units)
    if not pairs:
        return Agreement(math.nan, math.nan, math.nan, 0)
    value = sum(agreed for agreed, _count in units) / pairs
    half = _half_width(units, value, pairs)
    return Agreement(value, max(0.0, value - half), min(1.0, value + half), pairs)


def _half_width(units: list[tuple[float, int]], value: float, pairs: int) -> float:
    """One prompt says nothing about others: the interval is then all there is."""
    if len(units) == 1:
        return 1.0
    squares = sum((agreed - value * count) ** 2 for agreed, count in units)
    return Z95 * math.sqrt(squares * len(units) / (len(units) - 1)) / pairs


def _counted(rankings: list[Ranking]) -> tuple[float, int]:
    """Agreement summed over the pairs of outputs that two people both ranked, and how many those are."""
    agreed, pairs = 0.0, 0
    ranked = [(_who(ranking), ranking.ranks()) for ranking in rankings]
    for (one, first), (other, second) in combinations(ranked, 2):
        if one is not None and one == other:
            continue
        for a, b in combinations(sorted(first.keys() & second.keys()), 2):
            agreed += 1 - abs(_sign(first[a] - first[b]) - _sign(second[a] - second[b])) / 2
            pairs += 1
    return agreed, pairs


def _who(ranking: Ranking) -> Who:
    name: str | None = ranking.origin.get("annotator")
    return name or ranking.annotator_id


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)
