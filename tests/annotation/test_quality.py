"""Agreement against numbers computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Ranking
from annotation.quality import pairwise_agreement


def ranked(prompt: int, annotator: int, groups: list[list[int]], **values: object) -> Ranking:
    return Ranking(prompt_id=prompt, annotator_id=annotator, groups=groups, **values)


def test_the_same_order_agrees_fully() -> None:
    agreement = pairwise_agreement([ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[1], [2], [3]])])
    assert (agreement.value, agreement.pairs) == (1.0, 3)


def test_opposite_orders_agree_on_nothing() -> None:
    agreement = pairwise_agreement([ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[3], [2], [1]])])
    assert agreement.value == 0.0


def test_the_same_tie_is_agreement_and_an_order_against_a_tie_is_half() -> None:
    # Pairs 12: order and tie, 1/2. 13: the same order, 1. 23: the same order, 1.
    assert pairwise_agreement([ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[1, 2], [3]])]).value == pytest.approx(
        2.5 / 3
    )
    assert pairwise_agreement([ranked(1, 1, [[1, 2]]), ranked(1, 2, [[1, 2]])]).value == 1.0


def test_three_annotators_are_three_pairs_of_annotators() -> None:
    # 1 > 2, 1 > 2, 2 > 1: one agreement of three.
    rankings = [ranked(1, 1, [[1], [2]]), ranked(1, 2, [[1], [2]]), ranked(1, 3, [[2], [1]])]
    agreement = pairwise_agreement(rankings)
    assert (agreement.value, agreement.pairs) == (pytest.approx(1 / 3), 3)


def test_the_interval_is_over_prompts() -> None:
    # Prompt 1: 3 of 3 pairs; prompt 2: 0 of 1; prompt 3: 1 of 1. p = 4/5 = 0.8.
    # Deviations 3 - 2.4, 0 - 0.8, 1 - 0.8: squares .36 + .64 + .04 = 1.04; variance 1.04 * 3/2 / 25 = 0.0624.
    rankings = [
        ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[1], [2], [3]]),
        ranked(2, 1, [[4], [5]]), ranked(2, 2, [[5], [4]]),
        ranked(3, 1, [[6], [7]]), ranked(3, 2, [[6], [7]]),
    ]  # fmt: skip
    agreement = pairwise_agreement(rankings)
    assert agreement.value == pytest.approx(0.8)
    assert agreement.low == pytest.approx(0.8 - 1.959964 * math.sqrt(0.0624))
    assert agreement.high == 1.0
    assert agreement.pairs == 5


def test_one_prompt_alone_says_nothing_about_others() -> None:
    agreement = pairwise_agreement([ranked(1, 1, [[1], [2]]), ranked(1, 2, [[1], [2]])])
    assert (agreement.low, agreement.high) == (0.0, 1.0)


def test_without_anything_to_compare_there_is_no_figure() -> None:
    for rankings in ([], [ranked(1, 1, [[1], [2]])], [ranked(1, 1, [[1], [2]]), ranked(1, 1, [[1], [2]])]):
        agreement = pairwise_agreement(rankings)
        assert math.isnan(agreement.value)
        assert agreement.pairs == 0


def test_different_sets_of_one_prompt_share_the_pairs_they_share() -> None:
    agreement = pairwise_agreement([ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[2], [1], [9]])])
    assert (agreement.value, agreement.pairs) == (0.0, 1)


def test_imported_annotators_are_told_apart_by_their_names() -> None:
    named = [ranked(1, None, [[1], [2]], origin={"annotator": name}) for name in ("ann", "ben", "ann")]  # type: ignore[arg-type]
    assert pairwise_agreement(named).pairs == 2


@given(st.permutations(list(range(6))), st.permutations(list(range(6))))
def test_agreement_is_symmetric_and_orders_of_a_pair_never_count_more_than_one(
    one: list[int], other: list[int]
) -> None:
    first, second = ranked(1, 1, [[each] for each in one]), ranked(1, 2, [[each] for each in other])
    agreement = pairwise_agreement([first, second])
    assert agreement == pairwise_agreement([second, first])
    turned = pairwise_agreement([first, ranked(1, 2, [[each] for each in reversed(other)])])
    assert agreement.value + turned.value == pytest.approx(1.0)
