"""Which generators people rank higher: wins, strengths and what length and formatting have to do with it.

Generators have their names here, so this is for researchers and admins and never for somebody who ranks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import exp, log2
from typing import NamedTuple

import numpy as np
from django.db.models.expressions import RawSQL

from annotation.bradley_terry import Duels, Fit, fit, separable
from annotation.models import Completion, Generator, Project
from annotation.quality.bootstrap import DRAWS, interval
from annotation.quality.judgements import BY_CHANCE, Judgement, judgements_of

COVARIATES = ("length", "headings", "lists", "bold")
MARKS = {
    "headings": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "lists": re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}
CHUNK = 2_000


class Written(NamedTuple):
    """Who wrote an output, and what of it may please whatever it says: COVARIATES, the length as doublings."""

    generator: int
    form: tuple[float, ...]


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class Place(NamedTuple):
    """Expected share of wins against every other generator, a tie half a win; `adjusted`: at equal length and form."""

    generator: int
    share: Estimate
    adjusted: Estimate
    duels: int
    ties: float


class Effect(NamedTuple):
    """How the odds of winning change with one covariate: for an output twice as long, or with such marks."""

    name: str
    odds: Estimate


@dataclass(frozen=True, kw_only=True)
class Board:
    """Generators that were ranked against each other, directly or through others, the strongest first."""

    places: Sequence[Place]
    effects: Sequence[Effect]
    prompts: int
    duels: int


def leaderboards(project: Project, *, use_case: str = "") -> tuple[list[Board], Mapping[int, str]]:
    """The project's boards and the names of its generators. Three queries.

    Rejected work does not count, nor do sets that were chosen for being hard or rare.
    """
    judgements = [each for each in judgements_of(project, only=BY_CHANCE) if use_case in ("", each.use_case)]
    names = dict(Generator.objects.filter(project=project).values_list("pk", "name"))
    return boards(judgements, _written(judgements)), names


def boards(judgements: Iterable[Judgement], written: Mapping[int, Written], *, draws: int = DRAWS) -> list[Board]:
    """One board for each group of generators that comparisons connect, the one with most duels first."""
    found = list(_duels(judgements, written))
    group = _connected((one.generator, other.generator) for _prompt, one, other, _outcome in found)
    by_group: dict[int, list[Duel]] = defaultdict(list)
    for duel in found:
        by_group[group[duel[1].generator]].append(duel)
    return sorted((_board(duels, draws=draws) for duels in by_group.values()), key=lambda board: -board.duels)


Duel = tuple[int, Written, Written, int]


def form_of(text: str) -> tuple[float, ...]:
    return (log2(1 + len(text)), *(float(bool(mark.search(text))) for mark in MARKS.values()))


def _written(judgements: Iterable[Judgement]) -> dict[int, Written]:
    """The outputs that were ranked: a project may hold many times as many that wait."""
    ranked = {completion for each in judgements for completion in each.ranks_with_twins()}
    one_of = RawSQL("select unnest(%s::bigint[])", [list(ranked)])  # thousands of parameters are slow to prepare
    rows = Completion.objects.filter(pk__in=one_of).values_list("pk", "generator_id", "text")
    return {pk: Written(generator, form_of(text)) for pk, generator, text in rows.iterator(chunk_size=CHUNK)}


def _duels(judgements: Iterable[Judgement], written: Mapping[int, Written]) -> Iterator[Duel]:
    """The pairs of outputs of two generators; an output that is gone is in none."""
    for each in judgements:
        ranks = {completion: rank for completion, rank in each.ranks_with_twins().items() if completion in written}
        for a, b in combinations(ranks, 2):
            if written[a].generator != written[b].generator:
                yield each.prompt, written[a], written[b], (ranks[a] < ranks[b]) - (ranks[a] > ranks[b])


def _connected(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Each generator's group, named by one of its members."""
    leader: dict[int, int] = {}

    def find(generator: int) -> int:
        leader.setdefault(generator, generator)
        while leader[generator] != generator:
            leader[generator] = leader[leader[generator]]
            generator = leader[generator]
        return generator

    for one, other in set(pairs):
        leader[find(one)] = find(other)
    return {generator: find(generator) for generator in list(leader)}


def _board(duels: Sequence[Duel], *, draws: int) -> Board:
    generators = sorted({each.generator for _prompt, one, other, _outcome in duels for each in (one, other)})
    index = {generator: number for number, generator in enumerate(generators)}
    differences = np.array([np.subtract(one.form, other.form) for _prompt, one, other, _outcome in duels])
    plain = Duels(
        prompts=np.array([prompt for prompt, _one, _other, _outcome in duels]),
        first=np.array([index[one.generator] for _prompt, one, _other, _outcome in duels]),
        second=np.array([index[other.generator] for _prompt, _one, other, _outcome in duels]),
        outcomes=np.array([outcome for _prompt, _one, _other, outcome in duels]),
        differences=np.empty((len(duels), 0)),
        generators=len(generators),
    )
    with_form = replace(plain, differences=differences)
    kept = separable(with_form)
    with_form = replace(plain, differences=differences[:, kept])
    raw, adjusted = fit(plain, draws=draws), fit(with_form, draws=draws)
    places = [_place(number, generator, raw, adjusted, plain) for number, generator in enumerate(generators)]
    names = [name for name, keep in zip(COVARIATES, kept, strict=True) if keep]
    return Board(
        places=sorted(places, key=lambda place: -place.share.value),
        effects=[_effect(number, name, adjusted) for number, name in enumerate(names)],
        prompts=len(np.unique(plain.prompts)),
        duels=len(duels),
    )


def _place(number: int, generator: int, raw: Fit, adjusted: Fit, duels: Duels) -> Place:
    own = (duels.first == number) | (duels.second == number)
    share, fair = (
        Estimate(float(each.win_shares()[number]), *interval(each.drawn_win_shares()[:, number]))
        for each in (raw, adjusted)
    )
    return Place(generator, share, fair, int(own.sum()), float((duels.outcomes[own] == 0).mean()))


def _effect(number: int, name: str, fitted: Fit) -> Effect:
    low, high = interval(fitted.drawn_effects[:, number])
    return Effect(name, Estimate(exp(fitted.effects[number]), exp(low), exp(high)))
