"""95% intervals by resampling prompts: what would be found if other prompts had been drawn.

Pairs of one prompt depend on each other, so prompts and not pairs are drawn, with replacement. The same data give the
same interval each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 1_000
PER_BLOCK = 2_000_000  # numbers in memory at once
BUNDLES = 500


def weights(prompts: int, *, draws: int = DRAWS, seed: int = 0) -> Iterator[Floats]:
    """How often each prompt was drawn, a row a draw, in blocks."""
    chance = np.random.default_rng(seed)
    block = max(1, PER_BLOCK // prompts)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = chance.integers(prompts, size=(rows, prompts)) + prompts * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * prompts).reshape(rows, prompts)
        yield counts.astype(np.float64)


def drawn_sums(units: Floats, *, draws: int = DRAWS) -> Floats:
    """The sum of what was drawn of `units` (prompt, …), a row a draw.

    Of very many prompts, bundles of several are drawn: their sums vary as the sums of prompts drawn alone do.
    """
    if len(units) <= BUNDLES:
        return np.concatenate([counts @ units for counts in weights(len(units), draws=draws)])
    bundles = np.zeros((BUNDLES, units.shape[1]))
    np.add.at(bundles, np.arange(len(units)) % BUNDLES, units)
    return _weights_of_bundles(draws) @ bundles


@lru_cache(maxsize=1)
def _weights_of_bundles(draws: int) -> Floats:
    return np.concatenate(list(weights(BUNDLES, draws=draws)))


def interval(drawn: npt.ArrayLike) -> tuple[float, float]:
    """The middle 95% of what was drawn; draws in which nothing could be computed are left out."""
    low, high = np.nanquantile(np.asarray(drawn, dtype=np.float64), [0.025, 0.975])
    return float(low), float(high)
