"""Rounds of other stages than the usual three; in the database alone, but for the last test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from annotation.models import Completion, Demonstration, Item, Prompt, Ranking
from tests.processes import wait_for, worker
from tests.training.carrying_on import carry_on, start
from tests.training.world import TEST, Lab, build_lab
from training import rounds
from training.generation import BestOf
from training.models import Policy, RewardModel, Round, RoundStage, RoundState, Stage, road

SFT, REWARD, PPO, DPO, BEST = "sft", "reward_model", "ppo", "dpo", "best_of_n"


@pytest.mark.parametrize(
    ("chosen", "stages"),
    [
        ([SFT, REWARD, PPO], "freeze sft reward_model ppo evaluate publish sample"),
        ([SFT], "freeze sft evaluate publish sample"),
        ([REWARD], "freeze reward_model evaluate"),
        ([REWARD, PPO], "freeze reward_model ppo evaluate publish sample"),
        ([DPO, SFT], "freeze sft dpo evaluate publish sample"),
        ([SFT, REWARD, BEST], "freeze sft reward_model evaluate publish best_of_n"),
    ],
)
def test_a_road_is_the_stages_chosen_and_what_is_around_them(chosen: Sequence[str], stages: str) -> None:
    assert " ".join(road(chosen)) == stages


def made_by(round: Round, stage: str) -> Policy:
    return Policy.objects.get(run__round=round, run__stage=stage)


def test_fine_tuning_alone_publishes_the_fine_tuned_model_beside_its_base(lab: Lab) -> None:
    round = carry_on(start(lab, stages=[SFT]))
    assert (round.state, round.error) == (RoundState.PUBLISHED, "")
    assert list(round.runs.order_by("id").values_list("stage", flat=True)) == [SFT, "evaluate", "sample"]
    assert round.policy == made_by(round, SFT)
    assert round.policy == Policy.objects.current(lab.project)
    evaluation, sampled = round.runs.get(stage="evaluate"), round.runs.get(stage="sample")
    assert (evaluation.base, evaluation.reference, evaluation.judge) == (round.policy, lab.base, None)
    assert (sampled.base, sampled.reference, sampled.judge) == (round.policy, lab.base, None)
    assert Item.objects.filter(kind="ranking").count() == TEST["prompts"]


def test_a_reward_model_alone_ends_finished_and_puts_nothing_before_people(lab: Lab) -> None:
    round = carry_on(start(lab, stages=[REWARD]))
    assert (round.state, round.policy, round.published_at) == (RoundState.FINISHED, None, None)
    assert round.reward_model == RewardModel.objects.get()
    assert round.reward_model.parent == lab.base
    evaluation = round.runs.get(stage="evaluate")
    assert (evaluation.base, evaluation.judge, evaluation.inputs["prompts"]) == (None, round.reward_model, [])
    assert not Item.objects.filter(kind="ranking").exists()
    assert start(lab).number == 2


def test_a_reward_model_and_ppo_take_an_existing_policy_as_it_is(lab: Lab) -> None:
    tuned = carry_on(start(lab, stages=[SFT])).policy
    assert tuned is not None
    round = carry_on(start(lab, stages=[REWARD, PPO], base=tuned.pk))
    reward, ppo = round.runs.get(stage=REWARD), round.runs.get(stage=PPO)
    assert (reward.base, ppo.base, ppo.reference, ppo.judge) == (tuned, tuned, tuned, round.reward_model)
    assert round.policy == made_by(round, PPO)


def test_ppo_alone_takes_the_reward_model_that_was_chosen_or_else_the_newest(lab: Lab) -> None:
    older, newer = (carry_on(start(lab, stages=[REWARD])).reward_model for _number in range(2))
    assert older is not None
    chosen, other = start(lab, stages=[PPO], reward_model=older.pk), None
    assert carry_on(chosen).runs.get(stage=PPO).judge == older
    other = start(lab, stages=[PPO])
    assert other.options["reward_model"] == getattr(newer, "pk", None)
    assert carry_on(other).runs.get(stage=PPO).judge == newer


def test_dpo_learns_from_the_rankings_and_stays_near_what_it_starts_from(lab: Lab) -> None:
    round = carry_on(start(lab, stages=[SFT, DPO]), until=DPO)
    assert round.policy is None  # what fine-tuning made is no policy of the round where something goes on with it
    round = carry_on(round)
    run = round.runs.get(stage=DPO)
    assert (run.base, run.judge, run.dataset) == (made_by(round, SFT), None, round.dataset)
    assert round.policy == made_by(round, DPO)
    assert round.policy.parent == made_by(round, SFT)


def test_people_get_the_best_of_n_beside_what_the_same_policy_says_plainly(lab: Lab) -> None:
    round = carry_on(start(lab, stages=[SFT, REWARD, BEST], hyperparameters={BEST: {"completions": 4}}))
    assert round.state == RoundState.PUBLISHED
    assert round.policy == made_by(round, SFT)
    run = round.runs.get(stage=BEST)
    assert (run.base, run.judge) == (round.policy, round.reward_model)
    assert run.hyperparameters["completions"] == 4 + 2
    for item in Item.objects.filter(kind="ranking"):
        made = Completion.objects.filter(id__in=item.completions).order_by("id")
        best, plain = made
        assert (best.text, plain.text) == ("output 3", "output 4")
        assert (best.generator.name, plain.generator) == ("round-1-sft-best-of-4", round.policy.generator)
        assert (best.sampling["best_of"], plain.sampling.get("best_of")) == (4, None)


def test_the_best_of_an_existing_policy_publishes_that_policy(lab: Lab) -> None:
    carry_on(start(lab, stages=[REWARD]))
    round = carry_on(start(lab, stages=[BEST], publish="manual"))
    assert round.stage == RoundStage.PUBLISH
    rounds.publish(round, user=lab.rosa)
    round = carry_on(round)
    assert (round.state, round.policy) == (RoundState.PUBLISHED, None)
    assert Policy.objects.current(lab.project) == lab.base
    assert Item.objects.filter(kind="ranking").count() == TEST["prompts"]


def test_the_best_of_each_n_are_chosen_and_the_plain_ones_are_drawn_apart() -> None:
    samples = [{"text": str(number), "reward": reward} for number, reward in enumerate([1, 5, 2, 0, 3, 3, 9, 9])]
    chosen = BestOf(n=3, best=2, plain=2).chosen(samples)
    assert [(sample["text"], sample.get("beside", False)) for sample in chosen] == [
        ("1", False), ("4", False), ("6", True), ("7", True),
    ]  # fmt: skip


def test_the_next_round_starts_from_the_base_that_was_last_fine_tuned(lab: Lab) -> None:
    first = carry_on(start(lab))
    assert first.policy is not None
    carry_on(start(lab, stages=[REWARD], base=first.policy.pk))
    assert start(lab).base == lab.base


@pytest.mark.parametrize(
    ("stages", "lacking", "reason"),
    [
        ([SFT], Demonstration, "0 answers to training prompts"),
        ([SFT, DPO], Ranking, "0 rankings of training prompts"),
        ([REWARD, PPO], Prompt, "0 training prompts that feed the policy"),
        ([PPO], RewardModel, "There is no reward model yet: let the round train one."),
        ([BEST], RewardModel, "There is no reward model yet"),
    ],
)
def test_a_road_that_lacks_something_is_refused_with_what_it_lacks(
    lab: Lab, stages: list[str], lacking: Any, reason: str
) -> None:
    if lacking is Prompt:
        Prompt.objects.filter(project=lab.project, pool="policy").update(review="rejected")
    else:
        lacking.objects.all().delete()
    with pytest.raises(rounds.RoundRefused, match=reason):
        start(lab, stages=stages)
    assert not Round.objects.exists()


def test_a_road_asks_only_for_what_it_needs(lab: Lab) -> None:
    Ranking.objects.all().delete()
    assert carry_on(start(lab, stages=[SFT])).state == RoundState.PUBLISHED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stages": []}, "a list of some of these is expected: sft, reward_model, ppo, dpo, best_of_n"),
        ({"stages": "sft"}, "a list of some of these"),
        ({"stages": ["sft", "gate"]}, "a list of some of these"),
        ({"stages": ["sft", "ppo", "dpo"]}, "takes one at most"),
        ({"stages": ["sft"], "reward_model": 1}, "Leave it out"),
        ({"stages": ["sft"], "hyperparameters": {"ppo": {"kl_coef": 1}}}, "The round has no stage ppo"),
    ],
)
def test_stages_that_make_no_sense_start_no_round(lab: Lab, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(rounds.RoundRefused, match=reason):
        start(lab, **options)
    assert not Round.objects.exists()


def test_another_projects_reward_model_is_not_there(lab: Lab) -> None:
    RewardModel.objects.create(project=lab.project, name="ours", path="models/none", parent=lab.base)
    theirs = RewardModel.objects.create(project=lab.people.next_door, name="theirs", path="models/none")
    with pytest.raises(rounds.RoundRefused, match=f"no reward model {theirs.pk}"):
        start(lab, stages=[PPO], reward_model=theirs.pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_best_of_n_and_dpo_are_walked_by_a_worker_and_real_trainers() -> None:
    lab = build_lab()
    with worker():
        best = walked(start(lab, stages=[SFT, REWARD, BEST]))
        assert best.policy is not None
        direct = walked(start(lab, stages=[DPO], base=best.policy.pk))
    assert {run.stage for run in best.runs.all()} == {SFT, REWARD, "evaluate", BEST}
    assert {"best_of_1/reward", "best_of_4/reward", "best_of_4/kl"} <= best.runs.get(stage=BEST).result.keys()
    assert {"kl", "pair_accuracy", "mean_reward"} <= best.figures.keys()
    outputs = Completion.objects.filter(sampling__run=best.runs.get(stage=BEST).pk)
    assert {output.generator.name for output in outputs} == {"round-1-sft-best-of-4", "round-1-sft"}
    assert direct.runs.get(stage=Stage.DPO).result["rows"] == direct.runs.get(stage=DPO).dataset.counts["rankings"]  # type: ignore[union-attr]
    assert direct.policy == made_by(direct, DPO)
    assert "kl" in direct.figures


def walked(round: Round) -> Round:
    def ended() -> bool:
        round.refresh_from_db()
        return round.state != RoundState.RUNNING

    wait_for(ended, seconds=280, every=0.5)
    assert (round.state, round.error) == (RoundState.PUBLISHED, "")
    return round
