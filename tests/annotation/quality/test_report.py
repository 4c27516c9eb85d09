"""A whole report over people whose habits are known."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from annotation.models import Ranking, ReviewState
from annotation.quality import Judgement, judgements_of, pairwise_agreement
from annotation.quality.report import Look, Report, WhatIf, report
from tests.annotation.quality.scene import make_study
from tests.world import World

OUTPUTS = (1, 2, 3, 4)
FIRST_DAY = date(2026, 3, 2)  # a Monday


def habits(*, prompts: int = 60) -> list[Judgement]:
    """1 and 2 read carefully, 3 guesses, 4 puts what is shown first on top, 5 hurries through in the order shown."""
    chance, found = random.Random(3), []
    for prompt in range(prompts):
        for who in range(1, 6):
            shown = chance.sample(OUTPUTS, 4)
            order = sorted(OUTPUTS, key=lambda output: output + chance.gauss(0, 0.5))
            if who == 3:
                order = chance.sample(OUTPUTS, 4)
            if who == 4 and chance.random() < 0.6:
                order.remove(shown[0])
                order.insert(0, shown[0])
            if who == 5:
                order = list(shown)
            found.append(
                Judgement(
                    prompt, who, [[output] for output in order], shown, "chat" if prompt % 3 else "open_qa",
                    FIRST_DAY + timedelta(days=prompt // 10), 5.0 if who == 5 else 60.0,
                )
            )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def known() -> Report:
    return report(habits(), researchers={1})


def test_each_habit_is_worth_a_look_and_careful_work_is_not(known: Report) -> None:
    looks = {each.who: set(each.look) for each in known.annotators}
    assert looks[1] == looks[2] == set()
    assert looks[3] == {Look.AGREES_LESS}
    assert Look.POSITION in looks[4]
    assert {Look.POSITION, Look.STRAIGHT, Look.FAST, Look.AGREES_LESS} == looks[5]


def test_few_rankings_are_never_worth_a_look() -> None:
    few = report([each for each in habits() if each.prompt < 9])
    assert [each.look for each in few.annotators] == [[]] * 5


def test_researchers_are_the_reference_for_others_and_not_for_themselves(known: Report) -> None:
    gold = {each.who: each.gold for each in known.annotators}
    assert gold[1].pairs == 0
    assert gold[2].pairs == 60 * 6
    assert gold[2].value > gold[3].value


def test_the_pairs_add_up_to_the_whole(known: Report) -> None:
    assert len(known.pairs) == 10
    assert sum(pair.agreement.pairs for pair in known.pairs) == known.agreement.pairs == 60 * 10 * 6
    assert sum(group.agreement.pairs for group in known.use_cases) == known.agreement.pairs
    assert sum(group.agreement.pairs for group in known.weeks) == known.agreement.pairs
    assert [group.name for group in known.weeks] == [FIRST_DAY]


def test_leaving_out_who_guesses_raises_agreement_and_dates_and_use_cases_are_left_out_too(known: Report) -> None:
    everything = habits()
    without = [each for each in everything if WhatIf(annotators=frozenset({3, 5})).keeps(each)]
    assert report(without).agreement.value > known.agreement.value + 0.1
    assert len(without) == len(everything) * 3 / 5
    chat = [each for each in everything if WhatIf(use_cases=frozenset({"open_qa"})).keeps(each)]
    assert {each.use_case for each in chat} == {"chat"}
    dated = WhatIf(since=FIRST_DAY + timedelta(days=1), until=FIRST_DAY + timedelta(days=2))
    assert {each.prompt // 10 for each in everything if dated.keeps(each)} == {1, 2}


def test_nothing_is_a_report_too() -> None:
    empty = report([])
    assert (empty.rankings, empty.agreement.pairs, list(empty.annotators)) == (0, 0, [])


def test_the_figures_of_the_database_are_those_of_its_rankings(world: World) -> None:
    make_study(world, prompts=12)
    rankings = list(Ranking.objects.order_by("pk"))
    found = report(judgements_of(world.project))
    assert found.agreement == pairwise_agreement(rankings)
    rejected = rankings[0]
    rejected.review = ReviewState.REJECTED
    rejected.save()
    assert len(judgements_of(world.project)) == len(rankings) - 1
