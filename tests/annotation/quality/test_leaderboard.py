"""Strengths against known generators, hand-computed odds and the other way to the same figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from annotation import bradley_terry, leaderboard
from annotation.bradley_terry import Duels, fit, probabilities, separable, win_shares
from annotation.leaderboard import Written, boards, form_of, leaderboards
from annotation.models import ReviewState
from annotation.quality import Judgement
from tests.annotation.quality.scene import make_duel
from tests.world import World, make_prompt, rank, taken

STRENGTHS = np.array([0.8, 0.3, -0.2, -0.9])
TIE = math.log(0.6)


def drawn(
    seed: int, *, prompts: int = 120, pairs: int = 3, strengths: np.ndarray = STRENGTHS, tie: float = TIE,
    effects: Sequence[float] = (),
) -> Duels:  # fmt: skip
    """Duels of generators whose strengths, ties and covariates' effects are known."""
    chance = np.random.default_rng(seed)
    count = prompts * pairs
    first = chance.integers(len(strengths), size=count)
    second = (first + chance.integers(1, len(strengths), size=count)) % len(strengths)
    differences = chance.normal(size=(count, len(effects))) + (second - first)[:, None] / 4
    win, level, _loss = probabilities(strengths[first] - strengths[second] + differences @ np.array(effects), tie)
    dice = chance.random(count)
    outcomes = np.where(dice < win, 1, np.where(dice < win + level, 0, -1))
    return Duels(
        prompts=np.repeat(np.arange(prompts), pairs), first=first, second=second, outcomes=outcomes,
        differences=differences, generators=len(strengths),
    )  # fmt: skip


def test_the_odds_are_davidsons() -> None:
    # pi 4 and 1, nu 1/2: odds 4 : 1/2 * 2 : 1.
    win, level, loss = probabilities(np.array([math.log(4)]), math.log(0.5))
    assert [float(each[0]) for each in (win, level, loss)] == pytest.approx([4 / 6, 1 / 6, 1 / 6])


def test_two_generators_have_the_shares_that_counting_gives() -> None:
    # 500 wins, 200 ties, 300 losses: log(pi1/pi2) = log(5/3), nu = 2 / sqrt(15), share (500 + 100) / 1000.
    outcomes = np.repeat([1, 0, -1], [500, 200, 300])
    count = len(outcomes)
    duels = Duels(
        prompts=np.arange(count), first=np.zeros(count, int), second=np.ones(count, int), outcomes=outcomes,
        differences=np.empty((count, 0)), generators=2,
    )  # fmt: skip
    found = fit(duels)
    assert found.strengths[0] - found.strengths[1] == pytest.approx(math.log(5 / 3), abs=2e-3)
    assert found.tie == pytest.approx(math.log(2 / math.sqrt(15)), abs=2e-3)
    assert found.win_shares()[0] == pytest.approx(0.6, abs=1e-3)
    # By counting: standard error of the mean of 1, 1/2, 0 is sqrt((.5 + .05 - .36) / 1000) = .0138.
    low, high = np.quantile(found.drawn_win_shares()[:, 0], [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(1.96 * 0.0138, rel=0.15)


def test_known_strengths_ties_and_effects_are_found() -> None:
    found = fit(drawn(1, prompts=20_000, effects=(0.5, -0.3)), draws=100)
    assert found.strengths == pytest.approx(STRENGTHS - STRENGTHS.mean(), abs=0.03)
    assert found.effects == pytest.approx([0.5, -0.3], abs=0.03)
    assert found.tie == pytest.approx(TIE, abs=0.03)


def test_the_top_is_a_top() -> None:
    duels = drawn(2, effects=(0.4,))
    design = bradley_terry._design(duels)
    found = bradley_terry._most_probable(design, duels.outcomes)
    height = bradley_terry._height(design, duels.outcomes, found)
    for place in range(len(found)):
        for step in (-0.01, 0.01):
            beside = found + step * np.eye(len(found))[place]
            assert bradley_terry._height(design, duels.outcomes, beside) < height


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """300 projects of 120 prompts: of 95% intervals for each generator's win share, 95% hold the true one."""
    truth = win_shares(STRENGTHS[None], np.array([TIE]))[0]
    covered = []
    for seed in range(300):
        low, high = np.quantile(fit(drawn(seed), draws=400).drawn_win_shares(), [0.025, 0.975], axis=0)
        covered.append((low <= truth) & (truth <= high))
    assert 0.925 <= np.mean(covered) <= 0.975
    assert np.mean(covered, axis=0).min() > 0.91


def test_the_interval_covers_where_the_pairs_of_a_prompt_hang_together() -> None:
    """Three annotators who always agree are one, and the interval knows."""
    truth = win_shares(STRENGTHS[None], np.array([TIE]))[0]
    covered = []
    for seed in range(200):
        once = drawn(seed)
        repeated = {name: np.repeat(value, 3, axis=0) for name, value in vars(once).items() if name != "generators"}
        thrice = replace(once, **repeated)
        low, high = np.quantile(fit(thrice, draws=400).drawn_win_shares(), [0.025, 0.975], axis=0)
        covered.append((low <= truth) & (truth <= high))
    assert 0.92 <= np.mean(covered) <= 0.98


def test_one_step_of_the_bootstrap_is_as_good_as_fitting_anew() -> None:
    duels = drawn(3, effects=(0.4,))
    found, chance, anew = fit(duels, draws=2_000), np.random.default_rng(0), []
    by_prompt = np.arange(len(duels.outcomes)).reshape(-1, 3)
    for _draw in range(300):
        rows = by_prompt[chance.integers(len(by_prompt), size=len(by_prompt))].ravel()
        again = {name: value[rows] for name, value in vars(duels).items() if name != "generators"}
        anew.append(fit(replace(duels, **again), draws=1).strengths)
    assert found.drawn_strengths.std(axis=0) == pytest.approx(np.std(anew, axis=0), rel=0.15)


def test_a_generator_that_never_lost_has_a_finite_place() -> None:
    duels = drawn(4)
    won = Duels(
        **{**vars(duels), "outcomes": np.where(duels.first == 0, 1, np.where(duels.second == 0, -1, duels.outcomes))}
    )
    found = fit(won)
    assert np.isfinite(found.strengths).all()
    assert found.win_shares().argmax() == 0
    assert found.win_shares()[0] > 0.95


def test_a_covariate_that_only_names_the_generator_is_left_out() -> None:
    duels = drawn(5, effects=(0.1, 0.1))
    named = Duels(
        **{**vars(duels), "differences": np.column_stack([duels.differences[:, 0], duels.first - duels.second])}
    )
    assert separable(named).tolist() == [True, False]


def test_the_adjusted_board_takes_length_out() -> None:
    """Two generators of one quality, judged by length alone: the longer wins raw, neither adjusted."""
    chance = np.random.default_rng(0)
    written, judgements = {}, []
    for prompt in range(400):
        lengths = (chance.normal(9.0, 1.0), chance.normal(8.0, 1.0))
        for generator, length in enumerate(lengths):
            written[2 * prompt + generator] = Written(generator, (length, 0.0, 0.0, 0.0))
        win, level, _loss = probabilities(np.array([lengths[0] - lengths[1]]), -1.0)
        dice = chance.random()
        one, other = [2 * prompt], [2 * prompt + 1]
        groups = [one, other] if dice < win[0] else [one + other] if dice < win[0] + level[0] else [other, one]
        judgements.append(Judgement(prompt, 1, groups))
    (board,) = boards(judgements, written)
    longer = next(place for place in board.places if place.generator == 0)
    assert longer.share.low > 0.55
    assert longer.adjusted.low < 0.5 < longer.adjusted.high
    (effect,) = board.effects
    assert effect.name == "length"
    assert effect.odds.low < math.e < effect.odds.high


def test_generators_never_ranked_together_stand_on_boards_of_their_own() -> None:
    written = {number: Written(number // 2, (float(number), 0.0, 0.0, 0.0)) for number in range(8)}
    pairs = [[[0], [2]], [[1], [3]], [[4], [6]]]
    found = boards([Judgement(number, 1, groups) for number, groups in enumerate(pairs)], written)
    assert [sorted(place.generator for place in board.places) for board in found] == [[0, 1], [2, 3]]


def test_an_output_that_another_of_the_same_text_stood_for_won_and_lost_with_it() -> None:
    written = {number: Written(number, (3.0, 0.0, 0.0, 0.0)) for number in range(3)}
    (alone,) = boards([Judgement(prompt, 1, [[0], [1]]) for prompt in range(9)], written)
    (board,) = boards([Judgement(prompt, 1, [[0], [1]], twins={"2": 0}) for prompt in range(9)], written)
    assert (alone.duels, board.duels) == (9, 27)
    share = {place.generator: place.share.value for place in board.places}
    assert share[2] == pytest.approx(share[0])
    assert share[1] < share[2]


def test_form_is_what_pleases_whatever_it_says() -> None:
    assert form_of("a" * 7) == (3.0, 0.0, 0.0, 0.0)
    assert form_of("# Title\n\n1. one\n2. **two**")[1:] == (1.0, 1.0, 1.0)
    assert form_of("2 * 3 * 4 is 24 - a lot. #1")[1:] == (0.0, 0.0, 0.0)


def test_rejected_work_and_other_use_cases_are_not_on_the_board(world: World) -> None:
    for number, use_case in enumerate(["open_qa", "chat"]):
        make_duel(world, make_prompt(world.project, f"Question {number}?", use_case=use_case))
    first, second = (rank(taken(world.project, world.alice)) for _each in range(2))
    (board,), names = leaderboards(world.project)
    assert (board.duels, board.prompts) == (2, 2)
    assert sorted(names.values()) == ["one", "two"]
    (board,), _names = leaderboards(world.project, use_case="chat")
    assert board.duels == 1
    type(first).objects.filter(pk__in=[first.pk, second.pk]).update(review=ReviewState.REJECTED)
    assert leaderboards(world.project)[0] == []


def test_outputs_that_wait_to_be_ranked_are_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a hundred times as many of them, and each takes memory."""
    for number in range(3):
        make_duel(world, make_prompt(world.project, f"Question {number}?"))
    ranking = rank(taken(world.project, world.alice))
    read: list[str] = []
    monkeypatch.setattr(leaderboard, "form_of", lambda text: read.append(text) or form_of(text))
    (board,), _names = leaderboards(world.project)
    assert board.duels == 1
    assert len(read) == len(ranking.shown) == 2
