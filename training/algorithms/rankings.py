"""Rankings: what a reward model and DPO learn from. All pairs of one are an element of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import data
from training.algorithms.data import Row
from training.algorithms.encoder import Encoder
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


def together(groups: Groups, *, places: Callable[[Groups], int], token_budget: int) -> list[list[int]]:
    """Numbers of the groups in parts of at most token_budget tokens; a group is never taken apart.

    places: how many tokens, padding included, running some groups takes.
    """
    parts: list[list[int]] = []
    for i in sorted(range(len(groups)), key=lambda j: max(row.length for row in groups[j])):
        if not parts or places([groups[j] for j in (*parts[-1], i)]) > token_budget:
            parts.append([])
        parts[-1].append(i)
    return parts


def padded(groups: Groups) -> int:
    """The tokens of all rows side by side, padding included."""
    rows = [row for group in groups for row in group]
    return len(rows) * max(row.length for row in rows)


def pairs_right(rewards: Tensor, ranks: Sequence[float]) -> tuple[float, int]:
    """How many of the pairs of unequal rank the rewards order as the ranks do, and how many there are."""
    order = torch.tensor(ranks, device=rewards.device)
    better = order[:, None] < order[None, :]  # (K, K): row beats column
    margin = (rewards[:, None] - rewards[None, :])[better]
    return float((margin > 0).sum() + 0.5 * (margin == 0).sum()), int(better.sum())
