"""A ranking as plain data: what every figure of quality is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from django.db.models import Q

from annotation.models import ChosenBy, Project, Ranking, ReviewState
from annotation.models.work import UNSEALED, ranks_of

Who = int | str | None

# Rankings of sets that were not chosen for being hard or rare: what is told of them is told of all.
BY_CHANCE = ~Q(assignment__item__chosen_by__in=[ChosenBy.UNCERTAINTY, ChosenBy.COVERAGE])


@dataclass(frozen=True)
class Judgement:
    """One annotator's ranking. `annotator` is a person's id, or the name that a file gave; None if nobody knows."""

    prompt: int
    annotator: Who
    groups: Sequence[Sequence[int]]
    shown: Sequence[int] = ()
    use_case: str = ""
    day: date | None = None
    seconds: float | None = None
    twins: Mapping[str, int] = field(default_factory=dict)

    def ranks(self) -> dict[int, int]:
        """Completion → rank from 1; tied completions share one."""
        return ranks_of(self.groups)

    def ranks_with_twins(self) -> dict[int, int]:
        """The same with the completions that were not shown because their text was: each takes its twin's rank."""
        return ranks_of(self.groups, self.twins)

    @cached_property
    def places(self) -> dict[int, float]:
        """Completion → its place from 0 (best) to 1 (worst), so that sets of any size have one scale.

        Tied outputs share the middle of the places that they take up together.
        """
        size, before, places = sum(map(len, self.groups)), 0, dict[int, float]()
        for group in self.groups:
            places |= dict.fromkeys(group, (2 * before + len(group)) / (2 * size))
            before += len(group)
        return places


def judgement(ranking: Ranking) -> Judgement:
    return Judgement(
        prompt=ranking.prompt_id,
        annotator=ranking.origin.get("annotator") or ranking.annotator_id,
        groups=ranking.groups,
        shown=ranking.shown,
    )


def judgements_of(project: Project, *, only: Q | None = None) -> list[Judgement]:
    """All rankings of a project that count, or those of them asked for: neither they nor their prompts are rejected,
    and their sets are not sealed.

    A person's edit over the output that it improves is no judgement of outputs put side by side by chance.
    """
    own = Ranking.objects.filter(only or Q(), prompt__project=project).exclude(origin__has_key="edit_in")
    counted = own.filter(UNSEALED).exclude(review=ReviewState.REJECTED)
    rows = (
        counted.exclude(prompt__review=ReviewState.REJECTED)
        .order_by("pk")
        .values_list(
            "prompt_id",
            "annotator_id",
            "origin",
            "groups",
            "shown",
            "prompt__use_case",
            "created_at",
            "seconds",
            "twins",
        )
    )
    return [
        Judgement(prompt, origin.get("annotator") or person, groups, shown, use_case, at.date(), seconds, twins)
        for prompt, person, origin, groups, shown, use_case, at, seconds, twins in rows.iterator()
    ]
