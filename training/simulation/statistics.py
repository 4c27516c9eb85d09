"""Means with 95% intervals by bootstrap over prompts: several completions of one prompt are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

RESAMPLES = 4_000
BATCH = 200


@dataclass(frozen=True)
class Interval:
    """A mean, its 95% bootstrap interval, and `n`, the number of values (not prompts) behind it."""

    mean: float
    low: float
    high: float
    n: int

    def as_json(self) -> dict[str, float | int]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def mean_over_prompts(values: Mapping[str, Sequence[float]], *, seed: int) -> Interval:
    """The mean of each prompt's mean, with prompts resampled. Keys are prompts; raises ValueError if there is none."""
    if not values:
        raise ValueError("no prompt to average over; expected at least one with a value")
    per_prompt = np.array([np.mean(numbers) for numbers in values.values()])
    low, high = np.quantile(_resampled_means(per_prompt, seed=seed), [0.025, 0.975])
    return Interval(float(per_prompt.mean()), float(low), float(high), sum(len(numbers) for numbers in values.values()))


def paired_gain(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], *, seed: int) -> Interval:
    """Mean of `after` less mean of `before` on the same prompts, which are resampled as pairs."""
    if before.keys() != after.keys():
        alone = sorted(before.keys() ^ after.keys())
        raise ValueError(
            f"{len(alone)} prompts have values on one side only, such as {alone[0]!r}; expected the same ones"
        )
    differences = {prompt: [float(np.mean(after[prompt]) - np.mean(before[prompt]))] for prompt in before}
    return mean_over_prompts(differences, seed=seed)


def _resampled_means(per_prompt: np.ndarray, *, seed: int) -> np.ndarray:
    """Means of RESAMPLES draws with replacement, taken in batches so that memory stays small. -> (RESAMPLES,)"""
    random = np.random.default_rng(seed)
    draws = (random.integers(len(per_prompt), size=(BATCH, len(per_prompt))) for _ in range(RESAMPLES // BATCH))
    return np.concatenate([per_prompt[draw].mean(axis=1) for draw in draws])
