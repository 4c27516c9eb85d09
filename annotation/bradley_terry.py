"""Strengths of generators from wins, losses and ties: Bradley and Terry's model with ties as in Davidson (1970).

With strengths s, covariates x and a tie parameter t, and d = (s_i + b x_i) - (s_j + b x_j), the odds of "i wins",
"j wins" and "tie" are exp(d/2) : exp(-d/2) : exp(t). R. R. Davidson, On extending the Bradley-Terry model to
accommodate ties in paired comparison experiments, JASA 65 (1970), 317-328; there d is log(pi_i / pi_j) and t log(nu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotation.quality.bootstrap import DRAWS, Floats, weights

Integers = npt.NDArray[np.int64]

# Every parameter has a weak normal prior, so that a generator that never lost has a finite place all the same.
PRECISION = 1 / 3.0**2
STEPS = 50
CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Duels:
    """One row a pair of outputs: its prompt, its two generators (numbered from 0), who won, and how the two differ.

    `outcomes` are 1 (the first won), 0 (a tie) and -1; `differences` hold covariates, first less second.
    """

    prompts: Integers
    first: Integers
    second: Integers
    outcomes: Integers
    differences: Floats
    generators: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """`strengths` sum to 0; `effects` are the covariates'. Each has its draws: the same for other prompts."""

    strengths: Floats
    effects: Floats
    tie: float
    drawn_strengths: Floats
    drawn_effects: Floats
    drawn_tie: Floats

    def win_shares(self) -> Floats:
        (shares,) = win_shares(self.strengths[None], np.array([self.tie]))
        return np.asarray(shares)

    def drawn_win_shares(self) -> Floats:
        return win_shares(self.drawn_strengths, self.drawn_tie)


def fit(duels: Duels, *, draws: int = DRAWS) -> Fit:
    """The most probable parameters by Newton's method, and their bootstrap over prompts.

    The draws are one Newton step from the fit, with gradient and curvature of the prompts drawn: as good as fitting
    anew to the order of the bootstrap's own error (Davidson and MacKinnon, Bootstrap testing in nonlinear models,
    International Economic Review 40, 1999), and some hundred times faster.
    """
    design = _design(duels)
    parameters = _most_probable(design, duels.outcomes)
    drawn = _bootstrap(design, duels, parameters, draws=draws)
    count = duels.generators
    centred = parameters[:count] - parameters[:count].mean()
    return Fit(
        strengths=centred,
        effects=parameters[count:-1],
        tie=float(parameters[-1]),
        drawn_strengths=drawn[:, :count] - drawn[:, :count].mean(axis=1, keepdims=True),
        drawn_effects=drawn[:, count:-1],
        drawn_tie=drawn[:, -1],
    )


def probabilities(difference: Floats, tie: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Of a win, a tie and a loss of the first."""
    scores = np.stack(np.broadcast_arrays(difference / 2, np.asarray(tie, dtype=np.float64), -difference / 2))
    odds = np.exp(scores - scores.max(axis=0))
    win, level, loss = odds / odds.sum(axis=0)
    return win, level, loss


def win_shares(strengths: Floats, ties: Floats) -> Floats:
    """Each generator's expected share of wins against every other one, a tie being half a win; a row a draw."""
    win, level, _loss = probabilities(strengths[:, :, None] - strengths[:, None, :], ties[:, None, None])
    against = win + level / 2
    count = strengths.shape[1]
    shares: Floats = (against.sum(axis=2) - 0.5) / max(1, count - 1)  # against itself it would be 1/2
    return shares


def separable(duels: Duels) -> npt.NDArray[np.bool_]:
    """Which covariates can be told from the generators: those that vary within the same two generators."""
    indicators = _design(duels)[:, : duels.generators]
    explained = indicators @ np.linalg.lstsq(indicators, duels.differences, rcond=None)[0]
    left = ((duels.differences - explained) ** 2).sum(axis=0)
    whole = (duels.differences**2).sum(axis=0)
    found: npt.NDArray[np.bool_] = left > 1e-3 * np.maximum(whole, 1e-12)
    return found


def _design(duels: Duels) -> Floats:
    """A row a duel, without the column of the tie parameter: generators, then covariates."""
    rows = np.arange(len(duels.outcomes))
    design = np.zeros((len(rows), duels.generators + duels.differences.shape[1]))
    design[rows, duels.first] += 1
    design[rows, duels.second] -= 1
    design[:, duels.generators :] = duels.differences
    return design


def _most_probable(design: Floats, outcomes: Integers) -> Floats:
    """The log posterior is concave: Newton's steps, halved where one would overshoot, lead to its only top."""
    parameters = np.zeros(design.shape[1] + 1)
    height = _height(design, outcomes, parameters)
    for _step in range(STEPS):
        gradient, curvature = _slopes(design, outcomes, parameters)
        step = np.linalg.solve(
            curvature.sum(axis=0) + PRECISION * np.eye(len(parameters)),
            gradient.sum(axis=0) - PRECISION * parameters,
        )
        while (reached := _height(design, outcomes, parameters + step)) < height and np.abs(step).max() > CLOSE:
            step /= 2
        parameters, height = parameters + step, reached
        if np.abs(step).max() <= CLOSE:
            break
    return parameters


def _height(design: Floats, outcomes: Integers, parameters: Floats) -> float:
    win, level, loss = probabilities(design @ parameters[:-1], parameters[-1])
    seen = np.choose(outcomes + 1, [loss, level, win])
    return float(np.log(seen).sum() - PRECISION / 2 * (parameters**2).sum())


def _slopes(
    design: Floats, outcomes: Integers, parameters: Floats, starts: Integers | None = None
) -> tuple[Floats, Floats]:
    """Gradient and curvature (minus the second derivative) of the log likelihood, one row a run of duels.

    `starts` are the first rows of the runs; without them all duels are one.
    """
    win, level, loss = probabilities(design @ parameters[:-1], parameters[-1])
    ahead = (win - loss) / 2
    by_difference = outcomes / 2 - ahead
    by_tie = (outcomes == 0) - level
    whole = np.column_stack([design * by_difference[:, None], by_tie])
    runs = np.array([0]) if starts is None else starts
    gradient = np.add.reduceat(whole, runs, axis=0)
    size = design.shape[1] + 1
    curvature = np.empty((len(runs), size, size))
    both, cross, last = (win + loss) / 4 - ahead**2, -ahead * level, level * (1 - level)
    for place, (start, end) in enumerate(zip(runs, [*runs[1:], len(design)], strict=True)):
        part = design[start:end]
        curvature[place, :-1, :-1] = part.T @ (part * both[start:end, None])
        curvature[place, -1, :-1] = curvature[place, :-1, -1] = cross[start:end] @ part
        curvature[place, -1, -1] = last[start:end].sum()
    return gradient, curvature


def _bootstrap(design: Floats, duels: Duels, parameters: Floats, *, draws: int) -> Floats:
    order = np.argsort(duels.prompts, kind="stable")
    _prompts, starts = np.unique(duels.prompts[order], return_index=True)
    gradient, curvature = _slopes(design[order], duels.outcomes[order], parameters, starts)
    size, flat = len(parameters), curvature.reshape(len(starts), -1)
    drawn = []
    for counts in weights(len(starts), draws=draws):
        slope = counts @ gradient - PRECISION * parameters
        bend = (counts @ flat).reshape(-1, size, size) + PRECISION * np.eye(size)
        drawn.append(parameters + np.linalg.solve(bend, slope[:, :, None])[:, :, 0])
    return np.concatenate(drawn)
