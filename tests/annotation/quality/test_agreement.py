"""Agreement against numbers computed by hand."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Ranking
from annotation.quality import Judgement, krippendorff_alpha, pairwise_agreement
from annotation.quality.agreement import alpha_with_others, ordinal_alpha, share_over_prompts
from annotation.quality.bootstrap import BUNDLES


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


def test_the_interval_is_over_prompts_and_not_over_pairs() -> None:
    # 40 prompts of 6 pairs each, whose pairs agree or disagree together: p = 3/4. By prompts the standard error is
    # sqrt(.75 * .25 / 40) = .0685, the interval .75 +- .134; by 240 pairs it would be .75 +- .055.
    rankings = []
    for prompt in range(40):
        same = [[1], [2], [3], [4]]
        rankings += [ranked(prompt, 1, same), ranked(prompt, 2, same[::-1] if prompt % 4 == 0 else same)]
    agreement = pairwise_agreement(rankings)
    assert (agreement.value, agreement.pairs) == (0.75, 240)
    assert agreement.low == pytest.approx(0.75 - 0.134, abs=0.03)
    assert agreement.high == pytest.approx(0.75 + 0.134, abs=0.03)
    assert agreement == pairwise_agreement(rankings)


def test_two_prompts_are_drawn_as_counting_says() -> None:
    # Prompts of 3 pairs (all agreed) and of 1 (none): the draws are 3/3, 3/4 (half of them) and 0/1, a quarter each.
    rankings = [
        ranked(1, 1, [[1], [2], [3]]), ranked(1, 2, [[1], [2], [3]]), ranked(2, 1, [[4], [5]]), ranked(2, 2, [[5], [4]])
    ]  # fmt: skip
    agreement = pairwise_agreement(rankings)
    assert (agreement.value, agreement.low, agreement.high, agreement.pairs) == (0.75, 0.0, 1.0, 4)


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


def test_tied_outputs_share_the_middle_of_their_places() -> None:
    assert Judgement(1, 1, [[7], [8, 9], [4]]).places == {7: 1 / 8, 8: 4 / 8, 9: 4 / 8, 4: 7 / 8}


def test_alpha_of_the_same_and_of_opposite_orders_by_hand() -> None:
    # Opposite: coincidences [[0, 2], [2, 0]], totals 2 and 2, distance (3 - 1)^2 = 4 between the two values.
    # Observed 4 * 4 = 16, expected 2 * 2 * 2 * 4 = 32: alpha = 1 - 3 * 16 / 32 = -0.5.
    one, other = Judgement(1, 1, [[1], [2]]), Judgement(1, 2, [[2], [1]])
    assert krippendorff_alpha([one, replace(one, annotator=2)]).value == 1.0
    assert krippendorff_alpha([one, other]).value == pytest.approx(-0.5)
    assert krippendorff_alpha([one, other]).pairs == 4


def test_one_person_twice_is_not_agreement() -> None:
    once = Judgement(1, 1, [[1], [2]])
    assert math.isnan(krippendorff_alpha([once, once]).value)
    assert krippendorff_alpha([replace(once, annotator=None)] * 2).value == 1.0


def test_everybody_giving_one_value_has_no_alpha() -> None:
    assert math.isnan(ordinal_alpha({1: [[3, 3], [3, 3]]}).value)


@pytest.mark.parametrize("seed", range(20))
def test_alpha_is_that_of_the_krippendorff_package(seed: int) -> None:
    chance = random.Random(seed)
    coders, units, levels = chance.randint(2, 6), chance.randint(3, 40), chance.randint(2, 9)
    table = np.full((coders, units), np.nan)
    for unit in range(units):
        true = chance.randint(1, levels)
        for coder in range(coders):
            if chance.random() < 0.7:
                table[coder, unit] = true if chance.random() < 0.6 else chance.randint(1, levels)
    table[:2, 0], table[:2, 1] = 1, levels
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal")
    ours = {unit % 7: [] for unit in range(units)}
    for unit in range(units):
        ours[unit % 7].append([value for value in table[:, unit] if not math.isnan(value)])
    found = ordinal_alpha(ours)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low <= found.high


def test_alpha_of_rankings_is_that_of_the_krippendorff_package_too() -> None:
    chance = random.Random(5)
    judgements, columns = [], []
    for prompt in range(30):
        outputs = [10 * prompt + place for place in range(4)]
        given = []
        for annotator in range(3):
            order = sorted(outputs, key=lambda output: output + chance.gauss(0, 1.5))
            groups = [[order[0]], order[1:3], [order[3]]] if chance.random() < 0.4 else [[output] for output in order]
            judgements.append(Judgement(prompt, annotator, groups))
            given.append({output: len([g for group in groups[:rank] for g in group]) + (len(groups[rank]) + 1) / 2
                          for rank in range(len(groups)) for output in groups[rank]})  # fmt: skip
        columns += [[of_annotator[output] for of_annotator in given] for output in outputs]
    expected = krippendorff.alpha(reliability_data=np.array(columns).T, level_of_measurement="ordinal")
    assert krippendorff_alpha(judgements, draws=0).value == pytest.approx(expected, abs=1e-12)


def test_one_persons_alpha_is_that_of_two_where_there_are_two_and_is_theirs_alone_where_there_are_more() -> None:
    same, turned = [[1], [2], [3]], [[3], [2], [1]]
    own, other, odd = (Judgement(1, who, groups) for who, groups in enumerate((same, same, turned)))
    assert alpha_with_others([own], [odd]).value == pytest.approx(krippendorff_alpha([own, odd]).value)
    assert alpha_with_others([own], [other, odd]).value > alpha_with_others([odd], [own, other]).value


def test_the_interval_over_very_many_prompts_is_as_wide_as_it_should_be() -> None:
    dice = random.Random(5)
    parts = [(prompt, float(dice.random() < 0.7), 1) for prompt in range(4 * BUNDLES + 7)]
    found = share_over_prompts(parts)
    expected = 1.96 * math.sqrt(found.value * (1 - found.value) / len(parts))
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)
    assert found.pairs == len(parts)
