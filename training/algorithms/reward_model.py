"""Step 2 of InstructGPT: a reward model from rankings. All pairs of a ranking are one element of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import data, distributed, model_card
from training.algorithms.checkpoints import State
from training.algorithms.data import Encoder, Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Computing, Reward
from training.algorithms.loop import train
from training.algorithms.losses import ranking_loss
from training.algorithms.networks import Scorer, new_reward_model, within_positions
from training.algorithms.optimisation import Optimiser, arithmetic
from training.algorithms.run_folder import Metrics, Run


@dataclass(frozen=True)
class Ranking:
    """The K completions of one prompt as rows, and their ranks (lower is better)."""

    rows: list[Row]
    ranks: list[float]

    @property
    def length(self) -> int:
        return max(row.length for row in self.rows)

    @property
    def padded(self) -> int:
        """Tokens of its K rows side by side."""
        return self.length * len(self.rows)


def read_rankings(path: Path, encoder: Encoder) -> list[Ranking]:
    rankings = []
    for line in data.read_rows(path, data.ranking_problem):
        prompt = encoder.prompt(line["prompt"])
        rows = [
            Row(prompt, encoder.completion(each["text"], ended=each.get("finished") is not False))
            for each in line["completions"]
        ]
        rankings.append(Ranking(rows, [float(each["rank"]) for each in line["completions"]]))
    return rankings


def together(rankings: Sequence[Ranking], *, token_budget: int) -> list[list[Ranking]]:
    """The rankings in parts of at most token_budget padded tokens; a ranking is never taken apart."""
    parts: list[list[Ranking]] = []
    rows = 0
    for ranking in sorted(rankings, key=lambda each: each.length):
        if not parts or (rows + len(ranking.rows)) * ranking.length > token_budget:
            parts.append([])
            rows = 0
        parts[-1].append(ranking)
        rows += len(ranking.rows)
    return parts


def score(model: Scorer, rankings: Sequence[Ranking]) -> list[Tensor]:
    """The rewards of each ranking's completions, (K,) each: a completion is run once, whatever it is compared with."""
    rewards = model.rewards(model.collate([row for ranking in rankings for row in ranking.rows]))
    return list(rewards.split([len(ranking.rows) for ranking in rankings]))


def pairs_right(rewards: Tensor, ranks: Sequence[float]) -> tuple[float, int]:
    """How many of the pairs of unequal rank the rewards order as the ranks do, and how many there are."""
    order = torch.tensor(ranks, device=rewards.device)
    better = order[:, None] < order[None, :]  # (K, K): row beats column
    margin = (rewards[:, None] - rewards[None, :])[better]
    return float((margin > 0).sum() + 0.5 * (margin == 0).sum()), int(better.sum())


def backward(model: Scorer, rankings: Sequence[Ranking], *, settings: Reward) -> Metrics:
    """Add the gradient of the mean loss over the rankings, each weighing the same; loss and accuracy on them."""
    total, right, pairs = 0.0, 0.0, 0.0
    for part in together(distributed.share(rankings), token_budget=settings.token_budget):
        with arithmetic(settings.precision):
            scored = score(model, part)
        losses = [
            ranking_loss(rewards, torch.tensor(ranking.ranks, device=rewards.device), ties=settings.ties)
            for rewards, ranking in zip(scored, part, strict=True)
        ]
        loss = torch.stack(losses).sum() / len(rankings)
        loss.backward()
        total += float(loss.detach())
        for rewards, ranking in zip(scored, part, strict=True):
            hits, compared = pairs_right(rewards.detach(), ranking.ranks)
            right, pairs = right + hits, pairs + compared
    total, right, pairs = distributed.totals(total, right, pairs)
    return {"loss": total, "accuracy": right / max(pairs, 1)}


@torch.no_grad()
def measure(model: Scorer, rankings: Sequence[Ranking], *, settings: Computing, ties: str = "drop") -> Metrics:
    """Mean loss over rankings and accuracy over their pairs of unequal rank, pooled."""
    was_training = model.training
    model.eval()
    total, right, pairs = 0.0, 0.0, 0.0
    for part in together(distributed.share(rankings), token_budget=settings.token_budget):
        with arithmetic(settings.precision):
            scored = score(model, part)
        for rewards, ranking in zip(scored, part, strict=True):
            ranks = torch.tensor(ranking.ranks, device=rewards.device)
            total += float(ranking_loss(rewards, ranks, ties=ties))
            hits, compared = pairs_right(rewards, ranking.ranks)
            right, pairs = right + hits, pairs + compared
    model.train(was_training)
    total, right, pairs = distributed.totals(total, right, pairs)
    return {"loss": total / len(rankings), "accuracy": right / max(pairs, 1), "pairs": int(pairs)}


@torch.no_grad()
def rewards_of(model: Scorer, rows: Sequence[Row], *, settings: Computing) -> list[float]:
    """The reward of each row, in the rows' order."""
    model.eval()
    rewards = [0.0] * len(rows)
    for part in data.parts(rows, token_budget=settings.token_budget):
        with arithmetic(settings.precision):
            scored = model.rewards(model.collate([rows[i] for i in part]))
        for i, reward in zip(part, scored.tolist(), strict=True):
            rewards[i] = reward
    return rewards


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
    model = new_reward_model(base, seed=settings.seed, lora=settings)
    settings = within_positions(settings, model)
    rows = _fitting(read_rankings(Path(rankings), model.encoder), settings, what="rankings")
    looked_at = read_rankings(Path(held_out), model.encoder) if held_out else []
    looked_at = _fitting(looked_at, settings, what="held-out rankings") if looked_at else []
    shown = data.demonstrations(Path(demonstrations), model.encoder) if demonstrations else []
    figures = fit(run, model, rows, settings=settings, held_out=looked_at)
    figures |= {"rows": len(rows)}
    if shown:
        shown = data.within(shown, length=lambda row: row.length, limit=settings.max_length, what="demonstrations")
        scores = rewards_of(model, shown, settings=settings)
        model.offset += sum(scores) / len(scores)
        figures |= {"reward_offset": model.offset}
    notes = (
        "Scores are read at the last token, EOS included. `reward_offset` in the config is the mean score of the "
        "demonstrations; subtract it from what the model gives, so that demonstrations average 0."
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


def _fitting(rankings: list[Ranking], settings: Reward, *, what: str) -> list[Ranking]:
    kept = data.within(rankings, length=lambda each: each.length, limit=settings.max_length, what=what)
    widest = max(ranking.padded for ranking in kept)
    if widest > settings.token_budget:
        raise InputError(
            f"A ranking takes {widest} tokens and token_budget is {settings.token_budget}; a ranking is run whole. "
            "Raise token_budget."
        )
    return kept
