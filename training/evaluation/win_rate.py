"""How often people prefer one policy's outputs to another's, as it is and at equal length, with 95% intervals.

A tie counts half. The figure at equal length follows AlpacaEval 2 (Dubois et al. 2024, Length-Controlled AlpacaEval,
arXiv:2404.04475) in spirit: a logistic regression of who was preferred on the difference in length, asked what it says
where there is none. As there, the difference is divided by its standard deviation and bent by tanh, so that a few very
long outputs do not decide; without that paper's term for how hard each instruction is, since there are two policies
alone. With ties for ½ it is the quasi-likelihood of Papke and Wooldridge (1996, Journal of Applied Econometrics 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotation.quality.bootstrap import interval, weights
from training.evaluation.intervals import FEWEST, Interval, bootstrap, ratio

Floats = npt.NDArray[np.float64]

PRECISION = 1 / 3.0**2  # of length's effect: a weak normal prior, so that it is finite whatever was preferred
NEVER_WHOLLY = 1e-6  # the same for the rest, far too weak to be seen beside a single judgement
STEPS, LONGEST_STEP, CLOSE = 60, 2.0, 1e-9


@dataclass(frozen=True)
class Duel:
    """One pair of outputs to a prompt. `won`: 1 where the first policy's was preferred, ½ for a tie, else 0."""

    prompt: int
    won: float
    length: int
    other_length: int


@dataclass(frozen=True)
class WinRate:
    """`raw`: the share of wins. `equal_length`: what it would be were the outputs equally long."""

    raw: Interval
    equal_length: Interval


def win_rate(duels: Sequence[Duel]) -> WinRate:
    """The first policy's. The same duels give the same figures, in whatever order. Raises ValueError if there is none.

    Prompts are drawn anew for the intervals, each with all of its duels; of fewer than FEWEST prompts there are none.
    """
    if not duels:
        raise ValueError("no duel to tell a win rate by; expected at least one")
    ordered = sorted(duels, key=lambda duel: (duel.prompt, duel.won, duel.length, duel.other_length))
    prompts, place = np.unique([duel.prompt for duel in ordered], return_inverse=True)
    won = np.array([duel.won for duel in ordered], dtype=np.float64)
    sums = np.bincount(place, weights=won)
    return WinRate(
        raw=bootstrap(np.column_stack([sums, np.bincount(place)]).tolist(), ratio),
        equal_length=_at_equal_length(won, bent_difference(ordered), place, len(prompts)),
    )


def bent_difference(duels: Sequence[Duel]) -> Floats:
    """From -1 to 1: how much longer the first output is. 0 everywhere where all differ by nothing."""
    difference = np.array([duel.length - duel.other_length for duel in duels], dtype=np.float64)
    spread = float(difference.std())
    # Where each is longer by as much, length can't be told from the policy: nothing is taken off for it.
    return np.tanh(difference / spread) if spread else np.zeros(len(difference))


def _at_equal_length(won: Floats, difference: Floats, place: npt.NDArray[np.int64], prompts: int) -> Interval:
    (found,) = _fitted(won, difference, np.ones((1, len(won))))
    if prompts < FEWEST:
        return Interval(float(found), None, None, prompts)
    drawn = np.concatenate([_fitted(won, difference, counts[:, place]) for counts in weights(prompts)])
    low, high = interval(drawn)
    return Interval(float(found), low, high, prompts)


def _fitted(won: Floats, difference: Floats, counts: Floats) -> Floats:
    """The chance of a win at no difference, for each row of `counts`, which say how often each duel was drawn.

    won, difference: (n,); counts: (draws, n). Newton's method on a concave function, in steps of a bounded length.
    """
    ability, effect = np.zeros(len(counts)), np.zeros(len(counts))
    for _step in range(STEPS):
        chance = 1 / (1 + np.exp(-(ability[:, None] + effect[:, None] * difference)))
        left, bend = counts * (won - chance), counts * chance * (1 - chance)
        slope_ability = left.sum(axis=1) - NEVER_WHOLLY * ability
        slope_effect = left @ difference - PRECISION * effect
        aa, ae, ee = bend.sum(axis=1) + NEVER_WHOLLY, bend @ difference, bend @ difference**2 + PRECISION
        determinant = aa * ee - ae**2
        step_ability = np.clip((ee * slope_ability - ae * slope_effect) / determinant, -LONGEST_STEP, LONGEST_STEP)
        step_effect = np.clip((aa * slope_effect - ae * slope_ability) / determinant, -LONGEST_STEP, LONGEST_STEP)
        ability, effect = ability + step_ability, effect + step_effect
        if max(np.abs(step_ability).max(), np.abs(step_effect).max()) < CLOSE:
            break
    return np.asarray(1 / (1 + np.exp(-ability)))
