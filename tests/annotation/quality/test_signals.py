"""What is said of one annotator's work, against cases computed by hand."""

from __future__ import annotations

import math
import random

import pytest

from annotation.quality import (
    Judgement,
    agreement_with,
    median_seconds,
    position_bias,
    self_consistency,
    straight_lined,
)


def test_gold_accuracy_is_agreement_with_the_reference_answers_and_nothing_else() -> None:
    gold = [Judgement(1, "r", [[1], [2], [3]]), Judgement(2, "r", [[4, 5]])]
    # Prompt 1: 12 agrees, 13 disagrees, 23 disagrees. Prompt 2: an order against a tie. Prompt 3 has no reference.
    work = [Judgement(1, 1, [[3], [1], [2]]), Judgement(2, 1, [[5], [4]]), Judgement(3, 1, [[6], [7]])]
    found = agreement_with(work, gold)
    assert (found.value, found.pairs) == (pytest.approx(1.5 / 4), 4)


def test_consistency_compares_the_same_set_only() -> None:
    work = [
        Judgement(1, 1, [[1], [2], [3]]),
        Judgement(1, 1, [[2], [1], [3]]),  # 12 turned: 2 of 3 pairs
        Judgement(1, 1, [[1], [9], [3]]),  # another set
    ]
    found = self_consistency(work)
    assert (found.value, found.pairs) == (pytest.approx(2 / 3), 3)
    assert self_consistency(work[:1]).pairs == 0


def test_the_median_time_leaves_out_what_nobody_measured() -> None:
    assert median_seconds(Judgement(1, 1, [[1], [2]], seconds=each) for each in (10, None, 30, 100)) == 30
    assert median_seconds([]) is None


def test_the_output_shown_first_shares_a_tie_at_the_top() -> None:
    work = [
        Judgement(1, 1, [[5], [6], [7]], shown=(5, 6, 7)),
        Judgement(2, 1, [[5, 6], [7]], shown=(5, 6, 7)),
        Judgement(3, 1, [[6], [5]], shown=(5, 6)),
    ]
    found = position_bias(work)
    assert found.share.value == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found.expected == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    assert math.isnan(position_bias([]).expected)


def test_position_bias_is_found_where_it_is_and_only_there() -> None:
    chance, fair, biased = random.Random(1), [], []
    for prompt in range(300):
        order = chance.sample(range(4), 4)
        fair.append(Judgement(prompt, 1, [[output] for output in order], shown=(0, 1, 2, 3)))
        if chance.random() < 0.3:
            order = sorted(order, key=bool)
        biased.append(Judgement(prompt, 2, [[output] for output in order], shown=(0, 1, 2, 3)))
    assert position_bias(fair).share.low < 0.25 < position_bias(fair).share.high
    assert position_bias(biased).share.low > 0.25


def test_straight_lining_is_all_tied_or_left_as_shown() -> None:
    shown = (5, 6, 7)
    straight = [Judgement(1, 1, [[5, 6, 7]], shown=shown), Judgement(2, 1, [[5], [6], [7]], shown=shown)]
    read = [Judgement(3, 1, [[7], [6], [5]], shown=shown), Judgement(4, 1, [[5, 6], [7]], shown=shown)]
    assert straight_lined(straight).value == 1.0
    assert straight_lined(straight + read).value == 0.5
    assert straight_lined([Judgement(5, 1, [[1, 2]], shown=(1, 2))]).pairs == 0  # two outputs may well be alike
