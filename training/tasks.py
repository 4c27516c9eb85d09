"""The Celery door: thin tasks that take ids. None of them imports torch."""

from __future__ import annotations

from celery import shared_task

from annotation.logs import about
from training import automatic, pushing, rounds, runs, withdrawals
from training.evaluation import measuring
from training.external import answering, settling
from training.models import Policy, RewardModel
from training.playground import starting


@shared_task(max_retries=0)
def execute_run(run_id: int) -> None:
    with about(run=run_id):
        runs.execute(run_id)


@shared_task(max_retries=0)
def advance_round(round_id: int) -> None:
    with about(round=round_id):
        rounds.advance(round_id)


@shared_task(max_retries=0)
def measure(run_id: int) -> None:
    with about(run=run_id):
        measuring.measure(run_id)


@shared_task(max_retries=0)
def serve_policy(policy_id: int) -> None:
    starting.start(Policy.objects.get(pk=policy_id))


@shared_task(max_retries=0)
def serve_reward_model(model_id: int) -> None:
    starting.start(RewardModel.objects.get(pk=model_id))


@shared_task(max_retries=0)
def ask_external(model_id: int) -> None:
    answering.work(model_id)


@shared_task(max_retries=0)
def take_outputs(run_id: int) -> None:
    settling.take_samples(run_id)


@shared_task(max_retries=0)
def push_model(push_id: int) -> None:
    pushing.carry_out(push_id)


@shared_task(max_retries=0)
def sweep() -> None:
    runs.sweep()
    rounds.sweep()
    automatic.sweep()
    measuring.sweep()
    answering.sweep()
    pushing.sweep()
    withdrawals.finish_erasures()
