"""95% intervals by resampling prompts: what would be found if other prompts had been drawn.

Pairs of one prompt depend on each other, so prompts and not pairs are drawn, with replacement. The same data give the
same interval each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 1_000
PER_BLOCK = 2_000_000  # numbers in memory at once


def weights(prompts: int, *, draws: int = DRAWS, seed: int = 0) -> Iterator[Floats]:
    """How often each prompt was drawn, a row a draw, in blocks."""
    chance = np.random.default_rng(seed)
    block = max(1, PER_BLOCK // prompts)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        yield chance.multinomial(prompts, np.full(prompts, 1 / prompts), size=rows).astype(np.float64)


def interval(drawn: npt.ArrayLike) -> tuple[float, float]:
    """The middle 95% of what was drawn; draws in which nothing could be computed are left out."""
    low, high = np.nanquantile(np.asarray(drawn, dtype=np.float64), [0.025, 0.975])
    return float(low), float(high)
