"""Agreement between annotators: pair by pair of outputs, and Krippendorff's alpha over places."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import NamedTuple

import numpy as np

from annotation.models import Ranking
from annotation.quality.bootstrap import DRAWS, Floats, drawn_sums, interval
from annotation.quality.judgements import Judgement, Who, judgement


class Agreement(NamedTuple):
    """A figure with its 95% interval, over `pairs` judgements compared. All NaN where there are none."""

    value: float
    low: float
    high: float
    pairs: int


NOTHING = Agreement(math.nan, math.nan, math.nan, 0)


class Shared(NamedTuple):
    """What two annotators' rankings of one prompt say of the `pairs` of outputs that both ranked."""

    prompt: int
    one: Who
    other: Who
    agreed: float
    pairs: int
    use_case: str = ""
    day: date | None = None


def pairwise_agreement(rankings: Iterable[Ranking]) -> Agreement:
    """How often two annotators say the same of two outputs that both ranked.

    The same order and the same tie count 1, an order against a tie counts 1/2, opposite orders count 0: the distance
    of the two answers on the scale worse, equal, better. The interval is for new prompts, not new pairs.
    """
    return agreement(shared(judgement(ranking) for ranking in rankings))


def shared(judgements: Iterable[Judgement]) -> list[Shared]:
    """Every two rankings of one prompt by different annotators that have a pair of outputs in common.

    The day is that of the later one: before it there was nothing to compare.
    """
    by_prompt: dict[int, list[Judgement]] = defaultdict(list)
    for each in judgements:
        by_prompt[each.prompt].append(each)
    found = []
    for of_prompt in by_prompt.values():
        for first, second in combinations(of_prompt, 2):
            if first.annotator is None or first.annotator != second.annotator:
                found.append(compared(first, second))
    return [each for each in found if each.pairs]


def compared(first: Judgement, second: Judgement) -> Shared:
    """The same counts 1, an order against a tie 1/2, opposite orders 0."""
    one, other = first.ranks(), second.ranks()
    agreed, pairs = 0.0, 0
    for a, b in combinations(one.keys() & other.keys(), 2):
        agreed += 1 - abs(_sign(one[a] - one[b]) - _sign(other[a] - other[b])) / 2
        pairs += 1
    days = [each.day for each in (first, second) if each.day]
    return Shared(
        first.prompt, first.annotator, second.annotator, agreed, pairs, first.use_case, max(days, default=None)
    )


def agreement(rows: Iterable[Shared], *, draws: int = DRAWS) -> Agreement:
    """The share of the pairs in `rows` that agree."""
    return share_over_prompts(((row.prompt, row.agreed, row.pairs) for row in rows), draws=draws)


def share_over_prompts(parts: Iterable[tuple[int, float, int]], *, draws: int = DRAWS) -> Agreement:
    """Sum of parts over sum of wholes, from (prompt, part, whole); its interval by a bootstrap over prompts."""
    units: dict[int, list[float]] = {}
    for prompt, part, whole in parts:
        unit = units.setdefault(prompt, [0.0, 0.0])
        unit[0] += part
        unit[1] += whole
    table = np.array([unit for unit in units.values() if unit[1]]).reshape(-1, 2)
    if not len(table):
        return NOTHING
    part, whole = table.sum(axis=0)
    if len(table) == 1:  # one prompt says nothing about others
        return Agreement(float(part / whole), 0.0, 1.0, int(whole))
    sums = drawn_sums(table, draws=draws)
    return Agreement(float(part / whole), *interval(sums[:, 0] / sums[:, 1]), int(whole))


def krippendorff_alpha(judgements: Iterable[Judgement], *, draws: int = DRAWS) -> Agreement:
    """Krippendorff's alpha (ordinal) of the places that annotators gave to outputs: 1 full agreement, 0 chance.

    The units are outputs, their values the places from best to worst (Judgement.places), one an annotator: of two
    rankings by one person the first counts. `pairs` are the values that have another beside them.
    """
    units: dict[int, dict[int, dict[object, float]]] = defaultdict(lambda: defaultdict(dict))
    for number, each in enumerate(judgements):
        who: object = ("nobody known", number) if each.annotator is None else each.annotator
        for completion, place in each.places.items():
            units[each.prompt][completion].setdefault(who, place)
    values = {prompt: [list(of_output.values()) for of_output in outputs.values()] for prompt, outputs in units.items()}
    return ordinal_alpha(values, draws=draws)


def alpha_with_others(own: Sequence[Judgement], others: Iterable[Judgement]) -> Agreement:
    """Alpha of one person's places beside everybody else's: each other value with theirs is a unit of two."""
    mine: dict[int, dict[int, float]] = defaultdict(dict)
    for each in own:
        mine[each.prompt] = each.places | mine[each.prompt]
    units: dict[int, list[list[float]]] = defaultdict(list)
    for each in others:
        if known := mine.get(each.prompt):
            units[each.prompt] += [
                [known[completion], place] for completion, place in each.places.items() if completion in known
            ]
    return ordinal_alpha(units, draws=0)


def ordinal_alpha(units: Mapping[int, Sequence[Sequence[float]]], *, draws: int = DRAWS) -> Agreement:
    """Alpha over prompt → its units → the values each was given (Krippendorff 2011, ordinal metric).

    Without a bootstrap (`draws=0`) the interval is NaN.
    """
    pairable = {
        prompt: kept for prompt, given in units.items() if (kept := [values for values in given if len(values) > 1])
    }
    levels = sorted({value for given in pairable.values() for values in given for value in values})
    if not pairable:
        return NOTHING
    index = {value: place for place, value in enumerate(levels)}
    tables = np.zeros((len(pairable), len(levels), len(levels)))
    for table, given in zip(tables, pairable.values(), strict=True):
        for values in given:
            for a, b in combinations([index[value] for value in values], 2):
                table[a, b] += 1 / (len(values) - 1)
                table[b, a] += 1 / (len(values) - 1)
    count = sum(len(values) for given in pairable.values() for values in given)
    value = float(_alpha(tables.sum(axis=0)[None])[0])
    if not draws or math.isnan(value):
        return Agreement(value, math.nan, math.nan, count)
    if len(pairable) == 1:
        return Agreement(value, -1.0, 1.0, count)
    sums = drawn_sums(tables.reshape(len(pairable), -1), draws=draws)
    return Agreement(value, *interval(_alpha(sums.reshape(-1, *tables.shape[1:]))), count)


def _alpha(coincidences: Floats) -> Floats:
    """Of each coincidence matrix. The distance of two values counts the values between them, half of each end's."""
    totals = coincidences.sum(axis=2)
    middles = totals.cumsum(axis=1) - totals / 2
    distances = (middles[:, :, None] - middles[:, None, :]) ** 2
    observed = (coincidences * distances).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distances).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 1 - (totals.sum(axis=1) - 1) * observed / expected
    return found


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)
