"""A round's steps, one after the other, in the database alone; whole rounds with real trainers are in test_loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from annotation.models import AuditEntry, Completion, Item, Ranking
from tests.training.carrying_on import carry_on, end_run, start
from tests.training.world import TEST, Lab, build_lab
from training import registry, rounds, runs, stage_inputs
from training.models import (
    Dataset,
    Policy,
    RewardModel,
    Round,
    RoundStage,
    RoundState,
    RunState,
    Stage,
    TrainingRun,
)


def test_a_round_goes_through_its_stages_and_its_outputs_reach_the_queue(lab: Lab) -> None:
    round = carry_on(start(lab))
    assert (round.state, round.error) == (RoundState.PUBLISHED, "")
    stages = [Stage.SFT, Stage.REWARD_MODEL, Stage.PPO, Stage.EVALUATE, Stage.SAMPLE]
    assert list(round.runs.order_by("id").values_list("stage", flat=True)) == stages
    assert round.policy is not None
    assert round.policy.published_at is not None
    assert round.policy.name == "round-1-ppo"
    assert round.policy.figures == round.figures == {"kl": 1.5}
    sft = Policy.objects.get(run__round=round, run__stage=Stage.SFT)
    items = Item.objects.filter(kind="ranking")
    assert items.count() == TEST["prompts"]
    counted = {
        "items": 8,
        "completions": 16,
        "empty": 8,
        "equal": 16,
        "spare": 8,
        "prompts_with_too_few": 0,
        "withdrawn": 0,
    }
    assert round.runs.get(stage=Stage.SAMPLE).result["queued"] == counted
    for item in items:
        made = Completion.objects.filter(id__in=item.completions)
        said = {completion.text: completion.generator_id for completion in made}
        assert said == {"a": round.policy.generator_id, "c": sft.generator_id}
        assert made[0].seed == 7
        assert {"run", "temperature", "max_new_tokens", "logprob"} <= made[0].sampling.keys()


def test_each_stage_works_on_what_the_ones_before_it_made(lab: Lab) -> None:
    round = carry_on(start(lab))
    sft, reward, ppo, evaluate, sampled = round.runs.order_by("id")
    sft_policy, reward_model = Policy.objects.get(run=sft), RewardModel.objects.get(run=reward)
    assert (sft.base, sft.dataset) == (lab.base, round.dataset)
    assert reward.base == sft_policy
    assert (ppo.base, ppo.reference, ppo.judge) == (sft_policy, sft_policy, reward_model)
    assert (evaluate.base, evaluate.reference, evaluate.judge) == (round.policy, sft_policy, reward_model)
    assert (sampled.base, sampled.reference, sampled.judge) == (round.policy, sft_policy, reward_model)
    assert round.policy is not None
    assert (round.policy.parent, sft_policy.parent) == (sft_policy, lab.base)


def test_a_new_policy_is_shown_beside_the_one_published_before_it(lab: Lab) -> None:
    first, second = carry_on(start(lab)), carry_on(start(lab))
    assert second.runs.get(stage=Stage.SAMPLE).base == second.policy
    assert second.runs.get(stage=Stage.SAMPLE).reference == first.policy


def test_the_overhead_is_what_was_not_training(lab: Lab) -> None:
    round = carry_on(start(lab))
    walls = sum(round.seconds[stage] for stage in round.stages if stage != RoundStage.PUBLISH)
    assert round.seconds["overhead"] == pytest.approx(walls - 5 * 1.0, abs=0.02)


def test_without_held_out_data_there_is_no_evaluation(lab: Lab) -> None:
    Ranking.objects.filter(prompt__split="test").delete()
    round = carry_on(start(lab, evaluation_prompts=0))
    assert round.state == RoundState.PUBLISHED
    assert not round.runs.filter(stage=Stage.EVALUATE).exists()


def test_a_manual_round_waits_for_a_person(lab: Lab) -> None:
    round = carry_on(start(lab, publish="manual"))
    assert (round.state, round.stage) == (RoundState.RUNNING, RoundStage.PUBLISH)
    assert not Item.objects.filter(kind="ranking").exists()
    assert round.policy not in Policy.objects.published()
    rounds.publish(round, user=lab.people.ada)
    round = carry_on(round)
    assert (round.state, round.published_by) == (RoundState.PUBLISHED, lab.people.ada)
    with pytest.raises(rounds.RoundRefused):
        rounds.publish(round, user=lab.people.ada)
    told = {entry.action: entry for entry in AuditEntry.objects.filter(project_id=lab.project.pk)}
    assert (told["round_started"].actor_id, told["round_started"].details) == (
        lab.rosa.pk,
        {"round": 1, "base": lab.base.pk},
    )
    assert round.policy is not None
    assert (told["policy_published"].actor_id, told["policy_published"].details) == (
        lab.people.ada.pk,
        {"round": 1, "policy": round.policy.pk},
    )


def test_the_log_says_in_words_what_was_done_to_rounds(lab: Lab, client: Client) -> None:
    rounds.cancel(start(lab), user=lab.people.ada)
    client.force_login(lab.people.ada)
    page = client.get(f"/projects/{lab.project.slug}/audit/").content.decode()
    assert "Started a round" in page
    assert f"round 1 from policy {lab.base.pk}" in page
    assert "Cancelled a round" in page


def test_only_one_round_of_a_project_runs_at_a_time(lab: Lab) -> None:
    first = start(lab)
    with pytest.raises(rounds.RoundRefused, match="is running"):
        start(lab)
    rounds.cancel(first)
    assert start(lab).number == 2


def test_the_next_round_starts_from_the_same_base(lab: Lab) -> None:
    carry_on(start(lab))
    assert start(lab).base == lab.base


def test_a_project_without_a_model_can_start_no_round(lab: Lab) -> None:
    with pytest.raises(rounds.RoundRefused, match="Import one"):
        rounds.start(lab.people.next_door, user=lab.people.charlie)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"colour": 1}, "no option colour"),
        ({"publish": "maybe"}, "auto, manual or gate"),
        ({"preset": "papers"}, "paper, starter, test"),
        ({"prompts": -1}, "whole number"),
        ({"hyperparameters": {"ppo": {"kl_ceof": 1}}}, "kl_ceof"),
        ({"hyperparameters": {"gate": {}}}, "no stage gate"),
        ({"base": 10**9}, "no policy"),
    ],
)
def test_options_that_make_no_sense_start_no_round(lab: Lab, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(rounds.RoundRefused, match=reason):
        rounds.start(lab.project, user=lab.rosa, options=options)
    assert not Round.objects.exists()


def test_a_persons_settings_reach_the_run(lab: Lab) -> None:
    round = start(lab, hyperparameters={"sft": {"learning_rate": 0.5}}, seed=3)
    rounds.advance(round.pk)
    run = round.runs.get()
    assert (run.hyperparameters["learning_rate"], run.hyperparameters["seed"]) == (0.5, 3)


def test_data_that_went_away_after_the_start_fails_the_round_with_counts(lab: Lab) -> None:
    round = start(lab)
    Ranking.objects.all().delete()
    round = carry_on(round)
    assert round.state == RoundState.FAILED
    assert "rankings: 0 found, 1 needed" in round.error
    assert not Dataset.objects.exists()


def test_a_failed_run_fails_its_round_which_can_go_on_later(lab: Lab) -> None:
    round = carry_on(start(lab), until=RoundStage.PPO)
    run = round.runs.get(stage=Stage.PPO)
    claimed = TrainingRun.objects.claim(run.pk, worker="test")
    assert claimed is not None
    runs.fail(claimed, "the disk is full")
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert (round.state, round.stage) == (RoundState.FAILED, RoundStage.PPO)
    assert "the disk is full" in round.error
    rounds.retry(round)
    round = carry_on(round)
    assert (round.state, round.error) == (RoundState.PUBLISHED, "")
    assert round.runs.filter(stage=Stage.PPO).get() == run


def test_a_stage_that_was_tried_again_took_what_both_tries_took(lab: Lab) -> None:
    """It failed after 100 seconds, and an hour later somebody looked."""
    round = carry_on(start(lab), until=RoundStage.PPO)
    claimed = TrainingRun.objects.claim(round.runs.get(stage=Stage.PPO).pk, worker="test")
    assert claimed is not None
    runs.fail(claimed, "the disk is full")
    rounds.advance(round.pk)
    failed_at = timezone.now() - timedelta(hours=1)
    Round.objects.filter(pk=round.pk).update(finished_at=failed_at, stage_since=failed_at - timedelta(seconds=100))
    rounds.retry(round)
    round = carry_on(round)
    assert 100 <= round.seconds["ppo"] < 3600
    walls = sum(round.seconds[stage] for stage in round.stages if stage != RoundStage.PUBLISH)
    assert round.seconds["overhead"] == pytest.approx(walls - 5 * 1.0, abs=0.02)


def test_a_round_whose_run_is_still_ending_is_not_tried_again_to_be_cancelled_once_more(lab: Lab) -> None:
    round = carry_on(start(lab), until=RoundStage.SFT)
    claimed = TrainingRun.objects.claim(round.runs.get().pk, worker="test")
    assert claimed is not None
    rounds.cancel(round)
    with pytest.raises(rounds.RoundRefused, match="still ending"):
        rounds.retry(round)
    round.refresh_from_db()
    assert round.state == RoundState.CANCELLED
    TrainingRun.objects.held(claimed).update(state=RunState.CANCELLED)
    rounds.retry(round)
    assert carry_on(round).state == RoundState.PUBLISHED


def test_a_round_that_is_cancelled_while_its_next_run_is_prepared_starts_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    round, prepared = carry_on(start(lab), until=RoundStage.PPO), stage_inputs.of
    end_run(round.runs.get(stage=Stage.PPO))

    def cancelled_meanwhile(of_round: Round, stage: Stage) -> Any:
        found = prepared(of_round, stage)
        rounds.cancel(round)
        return found

    monkeypatch.setattr(stage_inputs, "of", cancelled_meanwhile)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.state == RoundState.CANCELLED
    assert not round.runs.active().exists()


def test_cancelling_a_round_ends_its_run_and_a_late_worker_changes_nothing(lab: Lab) -> None:
    round = carry_on(start(lab), until=RoundStage.REWARD_MODEL)
    run = round.runs.get(stage=Stage.REWARD_MODEL)
    claimed = TrainingRun.objects.claim(run.pk, worker="test")
    assert claimed is not None
    rounds.cancel(round)
    run.refresh_from_db()
    assert run.cancel_requested
    TrainingRun.objects.held(claimed).update(state=RunState.CANCELLED)
    carry_on(round)
    round.refresh_from_db()
    assert (round.state, round.stage) == (RoundState.CANCELLED, RoundStage.REWARD_MODEL)
    with pytest.raises(rounds.RoundRefused):
        rounds.cancel(round)


def test_a_run_cancelled_by_itself_cancels_its_round(lab: Lab) -> None:
    round = carry_on(start(lab), until=RoundStage.SFT)
    runs.cancel(round.runs.get())
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.state == RoundState.CANCELLED


def test_a_name_that_is_taken_fails_nothing_else(lab: Lab) -> None:
    registry.import_policy(lab.project, source=str(lab.base.folder), name="round-1-ppo")
    round = carry_on(start(lab))
    assert round.state == RoundState.PUBLISHED
    assert round.policy is not None
    assert round.policy.name.startswith("round-1-ppo-")


def test_the_sweep_reminds_of_a_round_whose_message_was_lost(
    lab: Lab, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    round = start(lab)
    with django_capture_on_commit_callbacks() as callbacks:
        rounds.sweep()
    assert callbacks == []
    Round.objects.filter(pk=round.pk).update(stage_since=timezone.now() - timedelta(seconds=20))
    with django_capture_on_commit_callbacks() as callbacks:
        rounds.sweep()
    assert len(callbacks) == 1
    rounds.advance(round.pk)
    Round.objects.filter(pk=round.pk).update(stage_since=timezone.now() - timedelta(seconds=20))
    with django_capture_on_commit_callbacks() as callbacks:
        rounds.sweep()
    assert callbacks == []


@pytest.mark.django_db(transaction=True)
def test_doubled_messages_at_every_step_do_nothing_twice() -> None:
    round = start(build_lab())

    def advance() -> None:
        rounds.advance(round.pk)
        connections.close_all()

    while round.state == RoundState.RUNNING:
        threads = [threading.Thread(target=advance) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run = round.runs.active().first()
        if run is not None:
            end_run(run)
        round.refresh_from_db()
    assert round.state == RoundState.PUBLISHED
    assert Dataset.objects.count() == 1
    assert round.runs.count() == 5
    assert Item.objects.filter(kind="ranking").count() == TEST["prompts"]


def test_a_setting_that_only_fits_the_data_at_hand_is_no_reason_to_refuse_a_round() -> None:
    options = rounds.Options.parse({"hyperparameters": {"ppo": {"minibatch_size": 32}}})
    assert options.hyperparameters == {"ppo": {"minibatch_size": 32}}
    with pytest.raises(rounds.RoundRefused, match=r"ppo: minibatch_size is 0"):
        rounds.Options.parse({"hyperparameters": {"ppo": {"minibatch_size": 0}}})
