"""A figure with its 95% interval, by a bootstrap over prompts: what one prompt gives stays together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotation.quality.bootstrap import drawn_sums, interval

FEWEST = 5  # prompts: of fewer, resampling shows next to nothing of what chance could have done

Statistics = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Interval:
    """`prompts` is what it was measured on; `low` and `high` are None where those are fewer than FEWEST."""

    value: float
    low: float | None
    high: float | None
    prompts: int

    def as_json(self) -> dict[str, Any]:
        return {key: float(f"{each:.6g}") if isinstance(each, float) else each for key, each in asdict(self).items()}


def bootstrap(statistics: Statistics, value: Callable[[np.ndarray], float]) -> Interval:
    """`value` of the sum of the prompts' statistics, with prompts drawn anew for the interval.

    statistics: a row a prompt, S numbers each; value takes their sum, (S,). Raises ValueError if there is no row.
    """
    if not statistics:
        raise ValueError("no prompt to measure; expected at least one row of statistics")
    rows = np.array(statistics, dtype=float)
    found = float(value(rows.sum(axis=0)))
    if len(rows) < FEWEST:
        return Interval(found, None, None, len(rows))
    low, high = interval([value(total) for total in drawn_sums(rows)])
    return Interval(found, low, high, len(rows))


def ratio(total: np.ndarray) -> float:
    """The `value` of a mean: the first of two statistics over the second, which counts; 0 where that is 0."""
    return float(total[0] / total[1]) if total[1] else 0.0
