"""How far a project is: what it has, what waits, who is at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Func, IntegerField, Q, Sum
from django.utils import timezone

from annotation.models import (
    Assignment,
    AssignmentState,
    Completion,
    Demonstration,
    Item,
    ItemKind,
    Project,
    Prompt,
    Ranking,
    ReviewState,
)

ACTIVE = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What counts, without what reviewers have rejected. Active: took work in the last 24 hours.

    `open`: pieces that wait, by kind, one for each annotator wanted.
    """

    prompts: int
    demonstrations: int
    completions: int
    rankings: int
    open: dict[ItemKind, int]
    leased: int
    active_annotators: int


def progress(project: Project) -> Progress:
    """Seven queries."""
    usable = Prompt.objects.usable().filter(project=project)
    prompts = usable.count()
    waiting = Item.objects.filter(project=project).exclude(open_slots=[])
    slots = Sum(Func(F("open_slots"), function="cardinality", output_field=IntegerField()))
    by_kind = {ItemKind(row["kind"]): row["slots"] for row in waiting.order_by().values("kind").annotate(slots=slots)}
    mine = Assignment.objects.filter(item__project=project)
    in_work = mine.filter(state=AssignmentState.LEASED).aggregate(
        all=Count("pk"), instructions=Count("pk", filter=Q(item__kind=ItemKind.INSTRUCTION))
    )
    recent = mine.filter(leased_at__gt=timezone.now() - ACTIVE)
    return Progress(
        prompts=prompts,
        demonstrations=Demonstration.objects.filter(prompt__in=usable).exclude(review=ReviewState.REJECTED).count(),
        completions=Completion.objects.filter(prompt__project=project).count(),
        rankings=Ranking.objects.filter(prompt__in=usable).exclude(review=ReviewState.REJECTED).count(),
        open={kind: by_kind.get(kind, 0) for kind in ItemKind}
        | {ItemKind.INSTRUCTION: max(0, project.instructions_wanted - prompts - in_work["instructions"])},
        leased=in_work["all"],
        active_annotators=recent.aggregate(people=Count("annotator", distinct=True))["people"],
    )
