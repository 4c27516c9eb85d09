"""What people's choices and a reward model's each owe to the form of an output and to its place on the page.

A Bradley-Terry model with ties of nothing but form: how the odds of being preferred change for an output twice as long,
with headings, lists or bold text, or shown one place earlier, the others being equal. Position is people's alone: a
reward model sees one output at a time. What an output owes to what it says is not in it: a longer one may be better.
Where the model's odds lie above people's, it likes the form for its own sake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np

from annotation.bradley_terry import Duels, fit, separable
from annotation.leaderboard import COVARIATES, form_of
from annotation.quality.bootstrap import interval
from training.evaluation.intervals import FEWEST

if TYPE_CHECKING:
    from training.evaluation.reward_models import Judged

POSITION = "position"
Outcome = Callable[["Judged", int, int], int]


def compare(judged: Sequence[Judged]) -> dict[str, Any]:
    """The odds by covariate, of people and of the model; empty where there are fewer than FEWEST prompts."""
    placed = [each for each in judged if each.places is not None]
    return {
        "people": _odds(placed or judged, _by_people, position=bool(placed)),
        "model": _odds(judged, _by_model, position=False),
    }


def _odds(judged: Sequence[Judged], outcome: Outcome, *, position: bool) -> dict[str, dict[str, float]]:
    names = [*COVARIATES, POSITION] if position else list(COVARIATES)
    found = [
        (each.prompt, outcome(each, i, j), _difference(each, i, j, position=position))
        for each in sorted(judged, key=lambda each: each.prompt)
        for i, j in combinations(range(len(each.texts)), 2)
    ]
    prompts = len({prompt for prompt, _outcome, _difference in found})
    if prompts < FEWEST:
        return {}
    nobody = np.zeros(len(found), dtype=int)
    duels = Duels(
        prompts=np.array([prompt for prompt, _outcome, _difference in found]),
        first=nobody,
        second=nobody,
        outcomes=np.array([won for _prompt, won, _difference in found]),
        differences=np.array([difference for _prompt, _outcome, difference in found]),
        generators=1,
    )
    kept = separable(duels)
    fitted = fit(Duels(**{**vars(duels), "differences": duels.differences[:, kept]}))
    odds = {}
    for number, name in enumerate(name for name, stays in zip(names, kept, strict=True) if stays):
        low, high = interval(fitted.drawn_effects[:, number])
        odds[name] = {
            "value": exp(fitted.effects[number]), "low": exp(low), "high": exp(high), "prompts": prompts,
        }  # fmt: skip
    return odds


def _by_people(judged: Judged, i: int, j: int) -> int:
    return (judged.ranks[i] < judged.ranks[j]) - (judged.ranks[i] > judged.ranks[j])


def _by_model(judged: Judged, i: int, j: int) -> int:
    return (judged.rewards[i] > judged.rewards[j]) - (judged.rewards[i] < judged.rewards[j])


def _difference(judged: Judged, i: int, j: int, *, position: bool) -> list[float]:
    form: list[float] = np.subtract(form_of(judged.texts[i]), form_of(judged.texts[j])).tolist()
    if position and judged.places is not None:
        form.append(float(judged.places[j] - judged.places[i]))  # earlier is more
    return form
