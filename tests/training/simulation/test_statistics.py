from __future__ import annotations

import numpy as np
import pytest

from training.simulation.statistics import mean_over_prompts, paired_gain


def test_the_mean_is_over_prompts_and_not_over_their_values() -> None:
    found = mean_over_prompts({"a": [1.0, 1.0, 1.0, 1.0], "b": [0.0]}, seed=0)

    assert found.mean == 0.5
    assert found.n == 5


def test_an_interval_of_equal_values_has_no_width() -> None:
    found = mean_over_prompts({str(n): [0.25] for n in range(20)}, seed=0)

    assert (found.low, found.mean, found.high) == (0.25, 0.25, 0.25)


def test_the_interval_is_as_wide_as_the_normal_one_where_that_holds() -> None:
    values = {str(n): [float(n % 2)] for n in range(400)}

    found = mean_over_prompts(values, seed=0)

    half = 1.96 * 0.5 / 400**0.5  # a fair coin thrown 400 times
    assert found.low == pytest.approx(0.5 - half, abs=0.005)
    assert found.high == pytest.approx(0.5 + half, abs=0.005)


def test_a_gain_that_every_prompt_shares_is_certain_however_much_prompts_differ() -> None:
    before = {str(n): [n / 10] for n in range(10)}
    after = {str(n): [n / 10 + 0.125] for n in range(10)}

    found = paired_gain(before, after, seed=0)

    assert found.low == pytest.approx(0.125)
    assert found.high == pytest.approx(0.125)


def test_the_interval_holds_the_true_mean_about_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        values = {str(n): [float(value)] for n, value in enumerate(random.exponential(size=80))}
        found = mean_over_prompts(values, seed=trial)
        held += found.low <= 1.0 <= found.high

    assert 0.88 <= held / 200 <= 0.98


def test_values_on_one_side_only_are_refused() -> None:
    with pytest.raises(ValueError, match="1 prompts have values on one side only, such as 'b'"):
        paired_gain({"a": [1.0]}, {"a": [1.0], "b": [0.0]}, seed=0)


def test_nothing_to_average_is_refused() -> None:
    with pytest.raises(ValueError, match="no prompt to average over"):
        mean_over_prompts({}, seed=0)
