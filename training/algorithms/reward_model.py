"""Step 2 of InstructGPT: a reward model from rankings. All pairs of a ranking are one element of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import data, distributed, model_card, sharding
from training.algorithms.data import Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Reward
from training.algorithms.judgement import calibrating_scale
from training.algorithms.knobs import Computing
from training.algorithms.loop import train_in_epochs
from training.algorithms.losses import ranking_loss
from training.algorithms.networks import Scorer, new_reward_model, within_positions
from training.algorithms.optimisation import arithmetic
from training.algorithms.rankings import Ranking, check_rankings, pairs_right, read_rankings, together
from training.algorithms.run_folder import Metrics, Run


def scored(
    model: Scorer, rankings: Sequence[Ranking], *, settings: Computing
) -> Iterator[tuple[list[Ranking], list[Tensor]]]:
    """Parts of the rankings, and the rewards of each one's completions, (K,): all run once, and so is the prompt."""
    groups = [ranking.rows for ranking in rankings]
    parts = together(groups, places=model.places, token_budget=settings.token_budget)
    for numbers in sharding.in_step(parts, idle=model.idle):
        with arithmetic(settings.precision):
            rewards = model.rewards_by_prompt([groups[i] for i in numbers])
        yield [rankings[i] for i in numbers], list(rewards.split([len(groups[i]) for i in numbers]))


def backward(model: Scorer, rankings: Sequence[Ranking], *, settings: Reward) -> Metrics:
    """Add the gradient of the mean loss over the rankings, each weighing the same; loss and accuracy on them."""
    total, right, pairs = 0.0, 0.0, 0.0
    for part, scores in scored(model, distributed.share(rankings), settings=settings):
        losses = [
            ranking_loss(rewards, torch.tensor(ranking.ranks, device=rewards.device), ties=settings.ties)
            for rewards, ranking in zip(scores, part, strict=True)
        ]
        loss = torch.stack(losses).sum() / len(rankings)
        loss.backward()
        total += float(loss.detach())
        for rewards, ranking in zip(scores, part, strict=True):
            hits, compared = pairs_right(rewards.detach(), ranking.ranks)
            right, pairs = right + hits, pairs + compared
    total, right, pairs = distributed.totals(total, right, pairs)
    return {"loss": total, "accuracy": right / max(pairs, 1)}


@torch.no_grad()
def judgements(model: Scorer, rankings: Sequence[Ranking], *, settings: Computing) -> list[tuple[Ranking, Tensor]]:
    """Each ranking, in no order, with the rewards of its completions, (K,)."""
    was_training = model.training
    model.eval()
    found = [pair for parts in scored(model, rankings, settings=settings) for pair in zip(*parts, strict=True)]
    model.train(was_training)
    return found


def mean_loss(judged: Sequence[tuple[Ranking, Tensor]], *, ties: str) -> float:
    """The loss of rankings and the rewards of their completions: each ranking weighs the same."""
    total = sum(
        float(ranking_loss(rewards, torch.tensor(ranking.ranks, device=rewards.device), ties=ties))
        for ranking, rewards in judged
    )
    return total / len(judged)


def measure(model: Scorer, rankings: Sequence[Ranking], *, settings: Computing, ties: str = "drop") -> Metrics:
    """Mean loss over rankings and accuracy over their pairs of unequal rank, pooled."""
    judged = judgements(model, rankings, settings=settings)
    counted = [pairs_right(rewards, ranking.ranks) for ranking, rewards in judged]
    right, pairs = sum(hits for hits, _ in counted), sum(compared for _, compared in counted)
    return {"loss": mean_loss(judged, ties=ties), "accuracy": right / max(pairs, 1), "pairs": pairs}


@torch.no_grad()
def rewards_of(model: Scorer, rows: Sequence[Row], *, settings: Computing) -> list[float]:
    """The reward of each row, in the rows' order. A prompt that neighbours have in common is run once."""
    model.eval()
    groups = _neighbours(model, rows, token_budget=settings.token_budget)
    rewards = [0.0] * len(rows)
    parts = together(
        [[rows[i] for i in group] for group in groups], places=model.places, token_budget=settings.token_budget
    )
    for part in sharding.in_step(parts, idle=model.idle):
        numbers = [groups[g] for g in part]
        with arithmetic(settings.precision):
            found = model.rewards_by_prompt([[rows[i] for i in group] for group in numbers])
        for i, reward in zip(chain.from_iterable(numbers), found.tolist(), strict=True):
            rewards[i] = reward
    return rewards


def _neighbours(model: Scorer, rows: Sequence[Row], *, token_budget: int) -> list[list[int]]:
    """Numbers of the rows, in groups of one prompt and of at most token_budget tokens."""
    groups: list[list[int]] = []
    for i, row in enumerate(rows):
        same = groups and rows[groups[-1][0]].prompt == row.prompt
        if not same or model.places([[rows[j] for j in (*groups[-1], i)]]) > token_budget:
            groups.append([])
        groups[-1].append(i)
    return groups


def reward_model(
    run: Run,
    settings: Reward,
    *,
    base: str,
    rankings: str,
    held_out: str | None = None,
    demonstrations: str | None = None,
) -> Metrics:
    """Train a reward model from the base's weights and save it; its last figures."""
    check_rankings(rankings, held_out)
    model = new_reward_model(base, seed=settings.seed, lora=settings)
    settings = within_positions(settings, model)
    rows = fitting(model, read_rankings(Path(rankings), model.encoder), settings, what="rankings")
    looked_at = read_rankings(Path(held_out), model.encoder) if held_out else []
    looked_at = fitting(model, looked_at, settings, what="held-out rankings") if looked_at else []
    shown = data.demonstrations(Path(demonstrations), model.encoder) if demonstrations else []
    figures = fit(run, model, rows, settings=settings, held_out=looked_at)
    figures |= {"rows": len(rows)}
    if looked_at and settings.calibrate:
        figures |= calibrate(model, looked_at, settings=settings)
    if shown:
        shown = data.within(shown, length=lambda row: row.length, limit=settings.max_length, what="demonstrations")
        scores = rewards_of(model, shown, settings=settings)
        model.offset += sum(scores) / len(scores)
        figures |= {"reward_offset": model.offset}
    notes = (
        "Scores are read at the last token, EOS included. `reward_offset` in the config is the mean score of the "
        "demonstrations: `training.algorithms` subtracts it when it opens the model, so that demonstrations average 0; "
        "whoever opens it otherwise has to."
    )
    if "reward_scale" in figures:
        notes += (
            " The head has been multiplied by `reward_scale`, which makes the loss on the held-out rankings least: "
            "their loss and calibration are fitted by that one number, their accuracy is not touched by it."
        )
    model_card.save(
        model, run, stage="reward_model", settings=settings, figures=figures, parents={"base": base}, notes=notes
    )
    return figures


def fit(
    run: Run, model: Scorer, rankings: Sequence[Ranking], *, settings: Reward, held_out: Sequence[Ranking] = ()
) -> Metrics:
    """Train the model on the rankings; the last metrics."""
    model.ready(settings)

    def learn(step: int, numbers: list[int]) -> Metrics:
        batch = [rankings[i] for i in numbers]
        metrics = backward(model, batch, settings=settings)
        return metrics | {"tokens": sum(row.length for ranking in batch for row in ranking.rows)}

    def look() -> Metrics:
        measured = measure(model, held_out, settings=settings, ties=settings.ties)
        return {f"held_out/{name}": value for name, value in measured.items()}

    return train_in_epochs(
        run,
        model,
        rankings,
        name="reward_model",
        settings=settings,
        backward=learn,
        evaluate=look if held_out else None,
    )


def calibrate(model: Scorer, rankings: Sequence[Ranking], *, settings: Reward) -> Metrics:
    """Scale the head as `calibrating_scale` finds; the factor, and the loss on these rankings with it."""
    judged = judgements(model, rankings, settings=settings)

    def loss(scale: float) -> float:
        return mean_loss([(ranking, scale * rewards) for ranking, rewards in judged], ties=settings.ties)

    scale = calibrating_scale(loss)
    with torch.no_grad():
        model.score.weight.mul_(scale)
    return {"reward_scale": scale, "held_out/loss": loss(scale)}


def fitting(model: Scorer, rankings: list[Ranking], settings: Computing, *, what: str) -> list[Ranking]:
    """The rankings of which every row has at most max_length tokens; raises InputError where one breaks the budget."""
    kept = data.within(rankings, length=lambda each: each.length, limit=settings.max_length, what=what)
    widest = max(model.places([ranking.rows]) for ranking in kept)
    if widest > settings.token_budget:
        raise InputError(
            f"A ranking takes {widest} tokens and token_budget is {settings.token_budget}; a ranking is run whole. "
            "Raise token_budget."
        )
    return kept
