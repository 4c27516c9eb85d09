"""Step 2 of InstructGPT: a reward model from rankings. All pairs of a ranking are one element of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import data, distributed, model_card, sharding
from training.algorithms.checkpoints import State
from training.algorithms.data import Encoder, Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Computing, Reward
from training.algorithms.judgement import calibrating_scale
from training.algorithms.loop import train
from training.algorithms.losses import ranking_loss
from training.algorithms.networks import Scorer, new_reward_model, within_positions
from training.algorithms.optimisation import Optimiser, arithmetic
from training.algorithms.run_folder import Metrics, Run
from training.algorithms.shared_prompts import Groups


@dataclass(frozen=True)
class Ranking:
    """The K completions of one prompt as rows, and their ranks (lower is better)."""

    rows: list[Row]
    ranks: list[float]

    @property
    def length(self) -> int:
        return max(row.length for row in self.rows)


def read_rankings(path: Path, encoder: Encoder) -> list[Ranking]:
    rankings = []
    for line in data.read_rows(path, data.ranking_problem):
        prompt = encoder.prompt(line["prompt"])
        rows = [
            Row(prompt, encoder.completion(each["text"], ended=each.get("finished") is not False))
            for each in line["completions"]
        ]
        rankings.append(Ranking(rows, data.ranks_of(line)))
    return rankings


def check_rankings(*paths: str | None) -> None:
    """Raises InputError where a file has a line that is no ranking: worth knowing before a model is loaded."""
    for path in filter(None, paths):
        data.read_rows(Path(path), data.ranking_problem)


def together(model: Scorer, groups: Groups, *, token_budget: int) -> list[list[int]]:
    """Numbers of the groups in parts of at most token_budget tokens; a group is never taken apart."""
    parts: list[list[int]] = []
    for i in sorted(range(len(groups)), key=lambda j: max(row.length for row in groups[j])):
        if not parts or model.places([groups[j] for j in (*parts[-1], i)]) > token_budget:
            parts.append([])
        parts[-1].append(i)
    return parts


def scored(
    model: Scorer, rankings: Sequence[Ranking], *, settings: Computing
) -> Iterator[tuple[list[Ranking], list[Tensor]]]:
    """Parts of the rankings, and the rewards of each one's completions, (K,): all run once, and so is the prompt."""
    groups = [ranking.rows for ranking in rankings]
    parts = together(model, groups, token_budget=settings.token_budget)
    for numbers in sharding.in_step(parts, idle=model.idle):
        with arithmetic(settings.precision):
            rewards = model.rewards_by_prompt([groups[i] for i in numbers])
        yield [rankings[i] for i in numbers], list(rewards.split([len(groups[i]) for i in numbers]))


def pairs_right(rewards: Tensor, ranks: Sequence[float]) -> tuple[float, int]:
    """How many of the pairs of unequal rank the rewards order as the ranks do, and how many there are."""
    order = torch.tensor(ranks, device=rewards.device)
    better = order[:, None] < order[None, :]  # (K, K): row beats column
    margin = (rewards[:, None] - rewards[None, :])[better]
    return float((margin > 0).sum() + 0.5 * (margin == 0).sum()), int(better.sum())


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
    parts = together(model, [[rows[i] for i in group] for group in groups], token_budget=settings.token_budget)
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
    order = data.Order(
        [ranking.length for ranking in rankings],
        batch_size=settings.batch_size,
        seed=settings.seed,
        group=settings.group_by_length,
    )
    total_steps = order.total_steps(epochs=settings.epochs, max_steps=settings.max_steps)
    model.ready(settings)
    sharding.shard(model)
    optimiser = Optimiser(model, settings, peak=settings.learning_rate, total_steps=total_steps)
    torch.manual_seed(settings.seed)

    def take_step(step: int) -> Metrics:
        batch = [rankings[i] for i in order.batch(step)]
        metrics = backward(model, batch, settings=settings)
        tokens = sum(row.length for ranking in batch for row in ranking.rows)
        return metrics | {"tokens": tokens} | optimiser.update(step)

    def look() -> Metrics:
        measured = measure(model, held_out, settings=settings, ties=settings.ties)
        return {f"held_out/{name}": value for name, value in measured.items()}

    return train(
        run,
        state=State(modules={"reward_model": model}, optimizers={"reward_model": optimiser.adam}),
        settings=settings,
        total_steps=total_steps,
        take_step=take_step,
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
