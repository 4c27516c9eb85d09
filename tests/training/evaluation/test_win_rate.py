from __future__ import annotations

import math
import random
from itertools import product

import numpy as np
import pytest

from annotation.quality.bootstrap import weights
from training.evaluation.win_rate import Duel, bent_difference, win_rate


def duels(*won: float, length: int = 10, other: int = 10) -> list[Duel]:
    """One a prompt."""
    return [Duel(prompt, each, length, other) for prompt, each in enumerate(won)]


def test_a_tie_counts_half() -> None:
    assert win_rate(duels(1, 0.5, 0, 1)).raw.value == 2.5 / 4


def test_every_judgement_counts_the_same_however_many_a_prompt_has() -> None:
    found = win_rate([Duel(1, 1.0, 5, 5), Duel(1, 1.0, 5, 5), Duel(1, 0.0, 5, 5), Duel(2, 0.0, 5, 5)])
    assert (found.raw.value, found.raw.prompts) == (0.5, 2)


def test_of_fewer_than_five_prompts_no_interval_is_told() -> None:
    found = win_rate(duels(1, 1, 1, 1) * 10)
    assert (found.raw.low, found.raw.high, found.equal_length.low) == (None, None, None)


def test_nothing_can_be_told_of_no_judgements() -> None:
    with pytest.raises(ValueError, match="no duel"):
        win_rate([])


def test_the_interval_is_that_of_prompts_drawn_anew_and_counted_by_hand() -> None:
    """Two judgements a prompt, so that drawing judgements instead of prompts would give a narrower one."""
    won = [1.0, 1.0, 0.0, 1.0, 0.0, 0.5]
    found = win_rate([Duel(prompt, each, 9, 9) for prompt, each in enumerate(won) for _twice in range(2)])
    (counts,) = weights(6)
    drawn = sorted(float((row * won).sum() / row.sum()) for row in counts)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.raw.low, found.raw.high) == (pytest.approx(low), pytest.approx(high))
    assert found.raw.value == pytest.approx(3.5 / 6)


def test_the_interval_covers_what_all_prompts_would_give_19_times_of_20() -> None:
    chance = random.Random(0)
    covered = 0
    for _study in range(200):
        judged = duels(*(float(chance.random() < 0.6) for _prompt in range(100)))
        low, high = win_rate(judged).raw.low, win_rate(judged).raw.high
        assert low is not None
        assert high is not None
        covered += low <= 0.6 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_same_judgements_give_the_same_figures_in_any_order() -> None:
    judged = [Duel(n, float(n % 3 > 0), 10 + n * 7 % 11, 12) for n in range(40)]
    assert win_rate(judged) == win_rate(list(reversed(judged)))


def test_at_equal_lengths_nothing_is_taken_off() -> None:
    found = win_rate(duels(1, 1, 0.5, 0, 1, 0, 1))
    assert found.equal_length.value == pytest.approx(found.raw.value, abs=1e-6)
    assert found.equal_length.low == pytest.approx(found.raw.low, abs=1e-6)


def test_a_length_that_is_always_the_same_cant_be_told_from_the_policy() -> None:
    judged = duels(1, 1, 0, 1, 0, 1, length=30, other=10)
    assert bent_difference(judged).tolist() == [0.0] * 6
    assert win_rate(judged).equal_length.value == pytest.approx(4 / 6, abs=1e-6)


def test_whoever_wins_by_length_alone_wins_half_at_equal_length() -> None:
    """Longer by a sure margin in three of four, and the longer one is preferred nine times of ten, either way."""
    judged = [
        Duel(prompt, float(longer == (prompt % 10 > 0)), 30 if longer else 10, 20)
        for prompt, (longer, _n) in enumerate(product((True, True, True, False), range(100)))
    ]
    found = win_rate(judged)
    assert found.raw.value == pytest.approx(0.7)
    assert found.equal_length.value == pytest.approx(0.5, abs=0.01)
    assert found.equal_length.low is not None
    assert found.equal_length.low < 0.5


def test_the_figure_at_equal_length_is_the_logistic_regressions_by_hand() -> None:
    """Two lengths: the fit goes through both shares, so that what it says at no difference follows from them."""
    shares = {10: 0.8, -10: 0.4}
    judged = [
        Duel(prompt, float(prompt < 5_000 * share), 20 + apart, 20)
        for apart, share in shares.items()
        for prompt in range(5_000)
    ]
    logit = {apart: math.log(share / (1 - share)) for apart, share in shares.items()}
    by_hand = 1 / (1 + math.exp(-(logit[10] + logit[-10]) / 2))  # both lie as far from no difference
    assert win_rate(judged).equal_length.value == pytest.approx(by_hand, abs=1e-3)


def test_whoever_always_wins_has_a_figure_all_the_same() -> None:
    found = win_rate([Duel(prompt, 1.0, 10 + prompt, 10) for prompt in range(30)])
    assert found.raw.value == 1.0
    assert 0.9 < found.equal_length.value <= 1.0
