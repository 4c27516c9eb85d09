"""A reward model measured against people's held-out rankings, and what both owe to form and place."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from annotation.models import Ranking, Split
from tests.training.world import Lab
from training import runs, withdrawals
from training.datasets import freeze
from training.evaluation import EvaluationRefused, bias, measuring, reward_models
from training.evaluation.reward_models import Judged, by_gap, measure
from training.models import RewardModel, RunState, Stage, TrainingRun


@pytest.fixture
def model(lab: Lab) -> RewardModel:
    return RewardModel.objects.create(project=lab.project, name="judge", path="models/none", parent=lab.base)


def scored(run: TrainingRun) -> dict[str, Any]:
    """The run is done, and the model likes an output the better the shorter it is."""
    run.folder.mkdir(parents=True, exist_ok=True)
    lines = [
        row | {"completions": [each | {"reward": -len(each["text"])} for each in row["completions"]]}
        for row in run.inputs["completions"]
    ]
    (run.folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    TrainingRun.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    measuring.measure(run.pk)
    run.refresh_from_db()
    found: dict[str, Any] = run.result["evaluation"]
    return found


def test_accuracy_is_the_share_of_pairs_that_it_orders_as_people_do() -> None:
    """By hand: of ranks 1, 2, 2, 3 five pairs differ; two are right, one is even."""
    ranking = Judged(1, ["aaaa", "b", "cc", "d"], [1, 2, 2, 3], [5.0, 1.0, 6.0, 1.0])
    found = measure([ranking])
    assert found["accuracy"].value == (1 + 0 + 1 + 0.5 + 1) / 5
    assert found["longer_wins"].value == (3 + 0.5 + 1) / 5
    assert "agreement" not in found
    assert {gap: cell["accuracy"]["value"] for gap, cell in by_gap([ranking]).items()} == {
        "1": pytest.approx((1 + 0 + 0.5 + 1) / 4), "2": 1.0,
    }  # fmt: skip


def test_ranks_with_holes_are_as_far_apart_as_their_places() -> None:
    assert [apart for _better, _worse, apart in reward_models.pairs(Judged(1, "ab", [1, 7], [0, 1]))] == [1]


def test_agreement_is_of_people_who_ranked_the_same_outputs() -> None:
    """Of the pairs that neither ties, two in three are ordered alike."""
    one, other = Judged(1, "abc", [1, 2, 3], [0, 0, 0]), Judged(1, "abc", [1, 3, 2], [0, 0, 0])
    tied, elsewhere = Judged(2, "abc", [1, 1, 2], [0, 0, 0]), Judged(2, "abd", [2, 1, 1], [0, 0, 0])
    assert measure([one, other, tied, elsewhere])["agreement"].value == 2 / 3


def test_its_figures_are_taken_on_held_out_rankings(lab: Lab, model: RewardModel) -> None:
    run = reward_models.start(model, user=lab.rosa, dataset=freeze(lab.project, user=None))
    held_out = set(Ranking.objects.exclude(prompt__split=Split.TRAIN).values_list("pk", flat=True))
    assert {row["ranking"] for row in run.inputs["completions"]} == held_out
    assert (run.stage, run.judge) == (Stage.SCORE, model)
    found = scored(run)
    assert (found["prompts"], found["outputs"]) == (6, 18)
    by_hand = [
        (len(best) < len(other)) + 0.5 * (len(best) == len(other))
        for ranking in Ranking.objects.filter(pk__in=held_out)
        for best in [ranking.prompt.text.split()[1]]
        for other in ("what", "no")
    ]
    assert found["overall"]["accuracy"]["value"] == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
    assert set(found["groups"]["gap"]) == {"1"}
    assert set(found["bias"]) == {"people", "model"}
    assert found["bias"]["model"]["length"]["value"] < 1
    assert "position" in found["bias"]["people"]
    assert "position" not in found["bias"]["model"]


def test_fewer_rankings_are_part_of_more_and_none_is_refused(lab: Lab, model: RewardModel) -> None:
    dataset = freeze(lab.project, user=None)
    few, more = (
        reward_models.start(model, user=None, dataset=dataset, rankings=count).inputs["completions"] for count in (2, 4)
    )
    assert few == more[:2]
    Ranking.objects.exclude(prompt__split=Split.TRAIN).delete()
    empty = freeze(lab.project, user=None)
    with pytest.raises(EvaluationRefused, match="holds no rankings of prompts"):
        reward_models.start(model, user=None, dataset=empty)


def test_erased_prompts_leave_what_was_scored(lab: Lab, model: RewardModel) -> None:
    run = reward_models.start(model, user=None, dataset=freeze(lab.project, user=None))
    scored(run)
    gone = run.inputs["completions"][0]["id"]
    ids = {kind: set() for kind in ("demonstrations", "rankings")} | {"prompts": {gone}}
    withdrawals._erase_from_run(run, ids, learnt_from_it=True)
    run.refresh_from_db()
    assert gone not in {row["id"] for row in run.inputs["completions"]}
    assert len(run.inputs["completions"]) == 5
    assert f'"id": {gone},' not in (run.folder / "scores.jsonl").read_text()


def planted(*, people: float, model: float, place: float = 0.0) -> list[Judged]:
    """Rankings of texts of chance in which the odds of being liked rise so with each doubling of the length."""
    chance = random.Random(5)
    rankings = []
    for prompt in range(150):
        texts = ["x" * chance.choice((15, 31, 63, 127, 255)) for _output in range(4)]
        places = chance.sample(range(4), 4)
        form = [bias.form_of(text)[0] for text in texts]

        def liked(weight: float, by_place: float, form: list[float] = form, places: list[int] = places) -> list[float]:
            noise = [chance.gauss(0, 1.8) for _output in form]
            return [weight * f - by_place * p + n for f, p, n in zip(form, places, noise, strict=True)]

        by_people = liked(people, place)
        ranks = [sorted(by_people, reverse=True).index(each) + 1 for each in by_people]
        rankings.append(Judged(prompt, texts, ranks, liked(model, 0.0), places))
    return rankings


def test_a_liking_that_was_planted_is_found_and_one_that_was_not_is_not() -> None:
    found = bias.compare(planted(people=0.0, model=1.0))
    assert found["model"]["length"]["low"] > 1
    assert found["people"]["length"]["low"] < 1 < found["people"]["length"]["high"]
    assert found["people"]["position"]["low"] < 1 < found["people"]["position"]["high"]
    assert set(found["model"]) == {"length"}  # no text has headings, lists or bold: nothing can be said of them


def test_a_liking_for_what_stands_first_is_found_beside_one_for_length() -> None:
    found = bias.compare(planted(people=0.8, model=0.0, place=0.8))["people"]
    assert found["position"]["low"] > 1
    assert found["length"]["low"] > 1


def test_of_a_handful_of_prompts_nothing_is_said() -> None:
    assert bias.compare(planted(people=0.0, model=0.0)[:4]) == {"people": {}, "model": {}}


def test_a_real_reward_model_scores_and_is_measured(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    training = runs.create(
        lab.project, stage=Stage.REWARD_MODEL, user=None, dataset=dataset, base=lab.base, preset="test"
    )
    runs.execute(training.pk)
    run = reward_models.start(RewardModel.objects.get(run=training), user=None, dataset=dataset)
    runs.execute(run.pk)
    measuring.measure(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.error
    assert 0 <= run.result["evaluation"]["overall"]["accuracy"]["value"] <= 1
