"""Over-optimisation: the reward rises and what it stands for does not (Gao et al. 2022, arXiv 2210.10760).

The alarm reads a run's own figures. What the best of n samples is worth is estimated from more than n of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 4  # iterations of which a mean is taken, at least; an eighth of a longer run
CLEAR = 4.0  # standard errors that a fall of the judge must exceed: it is looked for after every iteration
GROWTH = 1.5  # times its beginning; the starter model's healthy runs reach 1.3


def alarm(rewards: Sequence[float], lengths: Sequence[float], judged: Sequence[float] = ()) -> str:
    """Why the rise of the reward is not to be believed, in a sentence; "" where nothing speaks against it.

    One mean an iteration of each: the reward that is trained on, the tokens of a completion and, where there is an
    independent reward model, its score of the same completions (no unit in common with the reward is needed).
    """
    window = max(WINDOW, len(rewards) // 8)
    if len(rewards) < 2 * window:
        return ""
    if judged and (fall := _fall_while_reward_rose(rewards, judged, window=window)):
        return fall
    before, now = _mean(lengths[:window]), _mean(lengths[-window:])
    longer = max(now / before, before / now)
    if longer >= GROWTH and _rise(rewards, since=0, window=window) > 2:
        return (
            f"The reward rises and completions have gone from {before:.0f} to {now:.0f} tokens: the reward model may "
            "like the length and not the answer. Read some, and compare rankings of like length."
        )
    return ""


def best_of(scores: Sequence[float], n: int, values: Sequence[float] | None = None) -> float:
    """Mean over all choices of n from the samples of the value (else the score) of the one that scores highest.

    The unbiased estimate of arXiv 2112.09332, appendix I. Raises ValueError unless there are n samples or more.
    """
    if not 1 <= n <= len(scores):
        raise ValueError(f"The best of {n} cannot be estimated from {len(scores)} samples: draw at least n.")
    values = scores if values is None else values
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    chosen = math.comb(len(scores), n)
    # The sample with i below it is the best of those C(i, n - 1) choices that take the rest from below.
    return sum(math.comb(i, n - 1) / chosen * values[at] for i, at in enumerate(order))


def best_of_kl(n: int) -> float:
    """KL in nats of the best of n to the policy sampled from: log n - (n - 1) / n (arXiv 2009.01325, appendix G.3).

    Exact where no two samples score the same; else an upper bound (arXiv 2401.01879).
    """
    return math.log(n) - (n - 1) / n


def _fall_while_reward_rose(rewards: Sequence[float], judged: Sequence[float], *, window: int) -> str:
    starts = range(len(judged) - 2 * window + 1)
    peak = max(starts, key=lambda at: _mean(judged[at : at + window]))
    if _rise(judged, since=peak, window=window) > -CLEAR or _rise(rewards, since=peak, window=window) < 2:
        return ""
    best, now = _mean(judged[peak : peak + window]), _mean(judged[-window:])
    return (
        f"The reward has risen since iteration {peak + window} and the independent reward model's score of the same "
        f"completions has fallen from {best:.3g} to {now:.3g}: the policy fools the reward model. Take an earlier "
        "policy, raise kl_coef, or rank what it says now."
    )


def _rise(series: Sequence[float], *, since: int, window: int) -> float:
    """Mean of the last window less that of the one at `since`, in standard errors.

    The noise is taken from neighbours' differences: a trend does not count as noise (von Neumann 1941).
    """
    noise = math.sqrt(_mean([(b - a) ** 2 for a, b in zip(series, series[1:], strict=False)]) / 2)
    rise = _mean(series[-window:]) - _mean(series[since : since + window])
    return rise / max(noise * math.sqrt(2 / window), 1e-12)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
