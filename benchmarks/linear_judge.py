"""A judge of outputs that is no network: logistic regression on words, word pairs and length, fitted to all pairs.

What a reward model has to beat before its network has earned its keep.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.algorithms.data import ranks_of

WORD = re.compile(r"\w+|[^\w\s]|\n+")  # a mark or a break of lines counts as a word
Features = Sequence[set[str]]


class LinearJudge:
    """Judges by which words and pairs of neighbouring words are there (unit length in all) and by how long the text is.

    rare: what fewer training outputs hold is left out. penalty: of the squared weights, against the mean loss of a
    ranking. Both were chosen for the best accuracy on held-out prompts, which favours this judge.
    """

    def __init__(self, *, rare: int = 5, penalty: float = 3e-4, iterations: int = 60) -> None:
        self.rare, self.penalty, self.iterations = rare, penalty, iterations
        self.numbers: dict[str, int] = {}
        self.weights = torch.zeros(0)
        self.centre = torch.zeros(3)

    def fit(self, rankings: Sequence[dict[str, Any]]) -> LinearJudge:
        """Minimise the mean over rankings of −log σ(better − worse), the mean over pairs of unequal rank."""
        texts = [each["text"] for ranking in rankings for each in ranking["completions"]]
        held = [features(text) for text in texts]
        found = Counter(word for words in held for word in words)
        self.numbers = {word: i for i, word in enumerate(w for w, count in found.items() if count >= self.rare)}
        self.centre = torch.stack([length(text) for text in texts]).mean(0)
        table, sizes = self._table(held), self._sizes(texts)
        back = table.t().coalesce()
        better, worse, weight = pairs([ranks_of(ranking) for ranking in rankings])
        weight /= len(rankings)
        weights = torch.zeros(len(self.numbers) + sizes.shape[1], requires_grad=True)
        optimiser = torch.optim.LBFGS([weights], max_iter=self.iterations, line_search_fn="strong_wolfe")

        @torch.no_grad()
        def closure() -> Tensor:
            scores = self._scores(table, sizes, weights)
            margin = scores[better] - scores[worse]
            pull = weight * torch.sigmoid(-margin)
            down = torch.zeros_like(scores).index_add_(0, worse, pull).index_add_(0, better, -pull)
            weights.grad = torch.cat([torch.mv(back, down), sizes.T @ down]) + self.penalty * weights
            return (weight * F.softplus(-margin)).sum() + 0.5 * self.penalty * weights.square().sum()

        optimiser.step(closure)
        self.weights = weights.detach()
        return self

    def scores(self, texts: Sequence[str]) -> Tensor:
        """(len(texts),): the more, the better."""
        return self._scores(self._table([features(text) for text in texts]), self._sizes(texts), self.weights)

    def _scores(self, table: Tensor, sizes: Tensor, weights: Tensor) -> Tensor:
        return torch.mv(table, weights[: len(self.numbers)]) + sizes @ weights[len(self.numbers) :]

    def _sizes(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([length(text) for text in texts]) - self.centre

    def _table(self, held: Features) -> Tensor:
        """(texts, features): rows of unit length, sparse."""
        known = [sorted(self.numbers[word] for word in words if word in self.numbers) for words in held]
        places = torch.tensor([[i, j] for i, numbers in enumerate(known) for j in numbers], dtype=torch.long)
        values = torch.tensor([len(numbers) ** -0.5 for numbers in known for _ in numbers])
        return torch.sparse_coo_tensor(
            places.reshape(-1, 2).T, values, (len(held), len(self.numbers)), check_invariants=False
        ).coalesce()


def features(text: str) -> set[str]:
    words = WORD.findall(text)
    return {*words, *(f"{one} {two}" for one, two in zip(words, words[1:], strict=False))}


def length(text: str) -> Tensor:
    """(3,): so that the liking for length can bend."""
    log = math.log1p(len(text))
    return torch.tensor([log, log * log / 6, len(text) / 1000])


def pairs(ranks: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the better and of the worse output of each pair of unequal rank, and its share of its ranking."""
    found = list[tuple[int, int, float]]()
    first = 0
    for ranking in ranks:
        chosen = [(i, j) for i, one in enumerate(ranking) for j, two in enumerate(ranking) if one < two]
        found += [(first + i, first + j, 1 / len(chosen)) for i, j in chosen]
        first += len(ranking)
    better, worse, share = zip(*found, strict=True)
    return torch.tensor(better), torch.tensor(worse), torch.tensor(share)
