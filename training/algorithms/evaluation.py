"""Measuring a policy against its reference, and a reward model against rankings.

Beside the figures, by_prompt.json in the run's folder tells for each of them what every prompt gave: a sum, and what it
is divided by. The figure is the sum of the sums over that of the divisors; from them whoever reads it makes intervals.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.algorithms import completions, data, judgement, losses
from training.algorithms.data import Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Evaluate, Sample
from training.algorithms.knobs import Computing
from training.algorithms.networks import (
    Policy,
    Scorer,
    load_policy,
    load_reward_model,
    same_vocabulary,
    within_positions,
)
from training.algorithms.optimisation import arithmetic
from training.algorithms.rankings import Ranking, read_rankings
from training.algorithms.reward_model import fitting, judgements, mean_loss, rewards_of
from training.algorithms.run_folder import Metrics, Run, write_json
from training.algorithms.sampling import batches_of_prompts

BY_PROMPT = "by_prompt.json"
ByPrompt = dict[str, list[tuple[float, float]]]  # figure → a sum and its divisor, of each prompt that has any


def evaluate(
    run: Run,
    settings: Evaluate,
    *,
    policy: str | None = None,
    reference: str | None = None,
    prompts: str | None = None,
    reward_model: str | None = None,
    rankings: str | None = None,
) -> dict[str, Any]:
    """What can be measured with what is given; raises InputError where that is nothing."""
    if not (policy and prompts) and not (reward_model and rankings):
        raise InputError("There is nothing to measure. Give --policy and --prompts, or --reward-model and --rankings.")
    scorer = load_reward_model(reward_model).freeze() if reward_model else None
    speaker = load_policy(policy).freeze() if policy and prompts else None
    judge = load_policy(reference).freeze() if speaker and reference else None
    figures: dict[str, Any] = {}
    kept: ByPrompt = {}
    run.begin("measuring")
    if speaker and prompts:
        settings = within_positions(settings, speaker)
        rows = data.read_rows(Path(prompts), data.prompt_problem)
        encoded = [completions.shortened(speaker.encoder.prompt(row["prompt"]), settings=settings) for row in rows]
        figures |= compare(speaker, judge, encoded, reward_model=scorer, settings=settings, run=run, kept=kept)
    if scorer and rankings:
        figures |= judge_rankings(scorer, read_rankings(Path(rankings), scorer.encoder), settings=settings, kept=kept)
    write_json(run.path / BY_PROMPT, kept)
    run.end("measuring")
    return figures


def judge_rankings(
    model: Scorer, rankings: list[Ranking], *, settings: Evaluate, kept: ByPrompt | None = None
) -> dict[str, Any]:
    """How the model judges the rankings: accuracy, also by gap, calibration, its liking for length; and the people.

    Pairs of equal rank are no part of any figure but the loss, and that where `ties` is "half". `longer_wins` is the
    accuracy of liking the longer output; `annotator_agreement` that of one annotator by another of the same outputs.
    What each prompt gave is put into `kept`.
    """
    settings = within_positions(settings, model)
    given = len(rankings)
    rankings = fitting(model, rankings, settings, what="rankings")
    judged = judgements(model, rankings, settings=settings)
    lengths = [[len(row.completion) for row in ranking.rows] for ranking, _ in judged]
    pairs = judgement.pooled([
        judgement.pairs_of(rewards, ranking.ranks, sizes)
        for (ranking, rewards), sizes in zip(judged, lengths, strict=True)
    ])  # fmt: skip
    figures: dict[str, Any] = {
        "pairs": len(pairs.margins),
        "left_out": given - len(rankings),
        "ranking_loss": mean_loss(judged, ties=settings.ties),
        "length_correlation": judgement.length_correlation([rewards for _, rewards in judged], lengths),
    }
    if figures["pairs"]:
        table = judgement.reliability(pairs.margins)
        figures |= {
            "pair_accuracy": judgement.share_right(pairs.margins),
            "longer_wins": judgement.share_right(pairs.longer),
            "calibration_error": judgement.calibration_error(table),
            "reliability": table,
            "accuracy_by_gap": judgement.by_gap(pairs),
        }
    agreement, compared = judgement.agreement([(ranking.rows, ranking.ranks) for ranking in rankings])
    if compared:
        figures |= {"annotator_agreement": agreement, "agreement_pairs": compared}
    if kept is not None:
        kept |= _judged_by_prompt(judged, settings=settings)
    return figures


def _judged_by_prompt(judged: Sequence[tuple[Ranking, Tensor]], *, settings: Evaluate) -> ByPrompt:
    of_prompt = defaultdict[Any, list[tuple[Ranking, Tensor]]](list)
    for ranking, rewards in judged:
        of_prompt[tuple(ranking.rows[0].prompt)].append((ranking, rewards))
    kept = defaultdict[str, list[tuple[float, float]]](list)
    for same in of_prompt.values():
        pairs = judgement.pooled([
            judgement.pairs_of(rewards, ranking.ranks, [len(row.completion) for row in ranking.rows])
            for ranking, rewards in same
        ])  # fmt: skip
        agreement, compared = judgement.agreement([(ranking.rows, ranking.ranks) for ranking, _ in same])
        shares = {
            "ranking_loss": (mean_loss(same, ties=settings.ties), len(same)),
            "pair_accuracy": (judgement.share_right(pairs.margins), len(pairs.margins)),
            "longer_wins": (judgement.share_right(pairs.longer), len(pairs.longer)),
            "annotator_agreement": (agreement, compared),
        }
        for name, (share, count) in shares.items():
            if count:
                kept[name].append((share * count, count))
    return dict(kept)


def compare(
    policy: Policy,
    reference: Policy | None,
    prompts: Sequence[list[int]],
    *,
    reward_model: Scorer | None,
    settings: Sample,
    run: Run,
    kept: ByPrompt | None = None,
) -> Metrics:
    """Sample from the policy: mean length; with a reference the KL a completion; with a reward model the reward.

    What each prompt gave is put into `kept`.
    """
    rows: list[Row] = []
    asked: list[int] = []  # of each row the number of its prompt
    finished: list[bool] = []
    for batch in batches_of_prompts(
        [len(prompt) for prompt in prompts], repeats=settings.completions, rows=settings.batch_size
    ):
        drawn = completions.draw(
            policy, [prompts[i] for i in batch], keys=list(map(str, batch)), settings=settings, run=run
        )
        rows += [Row(prompts[i], each.tokens) for i, row in zip(batch, drawn, strict=True) for each in row]
        asked += [i for i, row in zip(batch, drawn, strict=True) for _ in row]
        finished += [each.finished for row in drawn for each in row]
    of_rows: dict[str, Sequence[float]] = {
        "mean_length": [len(row.completion) for row in rows],
        "finished": finished,
    }
    figures = {"completions": len(rows), **{name: sum(values) / len(rows) for name, values in of_rows.items()}}
    if reference:
        same_vocabulary(policy, reference, names=("The policy", "the reference"))
        divergence, of_each = _divergence(policy, reference, rows, settings=settings)
        figures |= divergence
        of_rows |= of_each
    if reward_model:
        same_vocabulary(policy, reward_model, names=("The policy", "the reward model"))
        of_rows["mean_reward"] = rewards = rewards_of(reward_model, rows, settings=settings)
        figures["mean_reward"] = sum(rewards) / len(rewards)
    if kept is not None:
        kept |= _by_prompt(of_rows, asked)
    return figures


def _by_prompt(of_rows: Mapping[str, Sequence[float]], asked: Sequence[int]) -> ByPrompt:
    kept: ByPrompt = {}
    counts = Counter(asked)
    for name, values in of_rows.items():
        sums = defaultdict[int, float](float)
        for number, value in zip(asked, values, strict=True):
            sums[number] += value
        kept[name] = [(total, counts[number]) for number, total in sums.items()]
    return kept


@torch.no_grad()
def _divergence(
    policy: Policy, reference: Policy, rows: Sequence[Row], *, settings: Computing
) -> tuple[Metrics, dict[str, list[float]]]:
    """KL(policy, reference) in nats a completion, on the policy's own samples at temperature 1; and of each row."""
    policy.eval()
    k1 = k3 = 0.0
    of_rows = {"kl": [0.0] * len(rows), "kl_k3": [0.0] * len(rows)}
    for part in data.parts(rows, token_budget=settings.token_budget):
        batch = policy.collate([rows[i] for i in part])
        with arithmetic(settings.precision):
            ours = losses.token_logprobs(policy.logits(batch), batch.targets)
            theirs = losses.token_logprobs(reference.logits(batch), batch.targets)
        one, three = losses.k1(ours, theirs), losses.k3(ours, theirs)
        k1 += float(one.sum())
        k3 += float(three.sum())
        for name, of_tokens in {"kl": one, "kl_k3": three}.items():
            for i, value in zip(part, batch.spread(of_tokens).sum(1).tolist(), strict=True):
                of_rows[name][i] = value
    return {"kl": k1 / len(rows), "kl_k3": k3 / len(rows)}, of_rows
