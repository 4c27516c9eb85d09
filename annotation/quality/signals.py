"""Signals about one annotator's work: each gives a person a reason to look, none is a verdict."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from annotation.quality.agreement import NOTHING, Agreement, agreement, compared, share_over_prompts
from annotation.quality.judgements import Judgement

MOSTLY = 0.5
Z = 1.959964  # 95% of a normal distribution lie within as many deviations


class Written(NamedTuple):
    """One text that a person wrote. `pasted`: the share of it that was; None where nobody counted."""

    annotator: int
    seconds: float | None
    pasted: float | None


class Position(NamedTuple):
    """How often the output shown first was ranked first. `expected` is what a random order gives: 1/K."""

    share: Agreement
    expected: float


def agreement_with(judgements: Iterable[Judgement], references: Iterable[Judgement]) -> Agreement:
    """Accuracy against gold: agreement of the judgements with reference answers to the same prompts."""
    answers: dict[int, list[Judgement]] = defaultdict(list)
    for reference in references:
        answers[reference.prompt].append(reference)
    return agreement(compared(each, answer) for each in judgements for answer in answers[each.prompt])


def self_consistency(judgements: Iterable[Judgement]) -> Agreement:
    """Agreement of one person with themselves over sets that they ranked more than once."""
    by_set: dict[tuple[int, frozenset[int]], list[Judgement]] = defaultdict(list)
    for each in judgements:
        by_set[each.prompt, frozenset(each.ranks())].append(each)
    return agreement(compared(first, second) for same in by_set.values() for first, second in combinations(same, 2))


def median_seconds(judgements: Iterable[Judgement | Written]) -> float | None:
    known = [each.seconds for each in judgements if each.seconds is not None]
    return statistics.median(known) if known else None


def mostly_pasted(pieces: Iterable[Written]) -> Agreement:
    """The share of texts of which more than half was pasted. People may paste their own words from elsewhere."""
    shares = [each.pasted for each in pieces if each.pasted is not None]
    return wilson(sum(share > MOSTLY for share in shares), len(shares)) if shares else NOTHING


def wilson(part: int, whole: int) -> Agreement:
    """A share of things that do not depend on each other, with its 95% interval (Wilson 1927): nothing is drawn."""
    share, spread = part / whole, Z * Z / whole
    middle = (share + spread / 2) / (1 + spread)
    reach = Z / (1 + spread) * math.sqrt(share * (1 - share) / whole + spread / (4 * whole))
    return Agreement(share, middle - reach, middle + reach, whole)


def position_bias(judgements: Iterable[Judgement]) -> Position:
    """Of a tie at the top, the output shown first has its share: 1 of 2, 1 of 3 and so on."""
    ordered = [each for each in judgements if each.shown]
    first = share_over_prompts(
        (each.prompt, (each.shown[0] in each.groups[0]) / len(each.groups[0]), 1) for each in ordered
    )
    expected = statistics.fmean(1 / len(each.shown) for each in ordered) if ordered else float("nan")
    return Position(first, expected)


def straight_lined(judgements: Iterable[Judgement]) -> Agreement:
    """The share of rankings of three or more outputs that took no reading: all tied, or left as they were shown."""
    return share_over_prompts(
        (each.prompt, _is_straight(each), 1) for each in judgements if sum(map(len, each.groups)) > 2
    )


def _is_straight(judgement: Judgement) -> bool:
    in_order = [completion for group in judgement.groups for completion in group]
    all_apart = len(judgement.groups) == len(in_order)
    return len(judgement.groups) == 1 or (all_apart and in_order == list(judgement.shown))
