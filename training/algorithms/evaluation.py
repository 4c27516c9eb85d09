"""Measuring a policy against its reference, and a reward model against rankings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from training.algorithms import completions, data, losses
from training.algorithms.data import Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Computing, Evaluate, Sample
from training.algorithms.networks import (
    Policy,
    Scorer,
    load_policy,
    load_reward_model,
    same_vocabulary,
    within_positions,
)
from training.algorithms.optimisation import arithmetic
from training.algorithms.reward_model import measure, read_rankings, rewards_of
from training.algorithms.run_folder import Metrics, Run
from training.algorithms.sampling import batches_of_prompts


def evaluate(
    run: Run,
    settings: Evaluate,
    *,
    policy: str | None = None,
    reference: str | None = None,
    prompts: str | None = None,
    reward_model: str | None = None,
    rankings: str | None = None,
) -> Metrics:
    """What can be measured with what is given; raises InputError where that is nothing."""
    if not (policy and prompts) and not (reward_model and rankings):
        raise InputError("There is nothing to measure. Give --policy and --prompts, or --reward-model and --rankings.")
    scorer = load_reward_model(reward_model).freeze() if reward_model else None
    speaker = load_policy(policy).freeze() if policy and prompts else None
    judge = load_policy(reference).freeze() if speaker and reference else None
    figures: Metrics = {}
    run.begin("measuring")
    if speaker and prompts:
        settings = within_positions(settings, speaker)
        rows = data.read_rows(Path(prompts), data.prompt_problem)
        encoded = [completions.shortened(speaker.encoder.prompt(row["prompt"]), settings=settings) for row in rows]
        figures |= compare(speaker, judge, encoded, reward_model=scorer, settings=settings, run=run)
    if scorer and rankings:
        ranked = read_rankings(Path(rankings), scorer.encoder)
        measured = measure(scorer, ranked, settings=settings, ties=settings.ties)
        figures |= {"pair_accuracy": measured["accuracy"], "pairs": measured["pairs"], "ranking_loss": measured["loss"]}
    run.end("measuring")
    return figures


def compare(
    policy: Policy,
    reference: Policy | None,
    prompts: Sequence[list[int]],
    *,
    reward_model: Scorer | None,
    settings: Sample,
    run: Run,
) -> Metrics:
    """Sample from the policy: mean length; with a reference the KL a completion; with a reward model the reward."""
    rows: list[Row] = []
    finished = 0
    for batch in batches_of_prompts(
        [len(prompt) for prompt in prompts], repeats=settings.completions, rows=settings.batch_size
    ):
        drawn = completions.draw(
            policy, [prompts[i] for i in batch], keys=list(map(str, batch)), settings=settings, run=run
        )
        rows += [Row(prompts[i], each.tokens) for i, row in zip(batch, drawn, strict=True) for each in row]
        finished += sum(each.finished for row in drawn for each in row)
    figures = {
        "completions": len(rows),
        "mean_length": sum(len(row.completion) for row in rows) / len(rows),
        "finished": finished / len(rows),
    }
    if reference:
        same_vocabulary(policy, reference, names=("The policy", "the reference"))
        figures |= _divergence(policy, reference, rows, settings=settings)
    if reward_model:
        same_vocabulary(policy, reward_model, names=("The policy", "the reward model"))
        rewards = rewards_of(reward_model, rows, settings=settings)
        figures["mean_reward"] = sum(rewards) / len(rewards)
    return figures


@torch.no_grad()
def _divergence(policy: Policy, reference: Policy, rows: Sequence[Row], *, settings: Computing) -> Metrics:
    """KL(policy, reference) in nats a completion, estimated on the policy's own samples at temperature 1."""
    policy.eval()
    k1 = k3 = 0.0
    for part in data.parts(rows, token_budget=settings.token_budget):
        batch = policy.collate([rows[i] for i in part])
        with arithmetic(settings.precision):
            ours = losses.token_logprobs(policy.logits(batch), batch.targets)
            theirs = losses.token_logprobs(reference.logits(batch), batch.targets)
        k1 += float(losses.k1(ours, theirs).sum())
        k3 += float(losses.k3(ours, theirs).sum())
    return {"kl": k1 / len(rows), "kl_k3": k3 / len(rows)}
