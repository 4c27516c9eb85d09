"""What a project's charts show. The database counts; agreement alone is computed here, of what two people ranked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation.models import Assignment, AssignmentState, ItemKind, Project, Prompt, Ranking
from annotation.progress import Progress
from annotation.quality import Agreement, agreement, judgements_of, shared
from annotation.quality.agreement import Shared
from annotation.quality.report import week_of

DAYS = 30
WEEKS = 12
DRAWS = 200  # for a range that is drawn, not reported


class Backlog(NamedTuple):
    """Pieces of a kind: `waiting`, one for each annotator wanted, and `in_work` with somebody."""

    kind: ItemKind
    waiting: int
    in_work: int


class Mix(NamedTuple):
    """How many instructions have each use case, and each language, the most frequent first."""

    use_cases: list[tuple[str, int]]
    languages: list[tuple[str, int]]


def throughput(project: Project) -> dict[date, Counter[ItemKind]]:
    """Pieces submitted by kind, on each of the last 30 days, those without any included."""
    today = timezone.localdate()
    first = today - timedelta(days=DAYS - 1)
    start = timezone.make_aware(datetime.combine(first, time.min))
    done = Assignment.objects.filter(state=AssignmentState.SUBMITTED, finished_at__gte=start, item__project=project)
    by_day = done.order_by().annotate(day=TruncDate("finished_at")).values_list("day", "item__kind")
    found: dict[date, Counter[ItemKind]] = {first + timedelta(days=after): Counter() for after in range(DAYS)}
    for day, kind, count in by_day.annotate(count=Count("pk")):
        found.setdefault(day, Counter())[ItemKind(kind)] = count
    return found


def backlog(project: Project, counted: Progress) -> list[Backlog]:
    held = Assignment.objects.filter(item__project=project, state=AssignmentState.LEASED)
    in_work = dict(held.order_by().values_list("item__kind").annotate(count=Count("pk")))
    return [Backlog(kind, counted.open[kind], in_work.get(kind.value, 0)) for kind in ItemKind]


def mix(project: Project) -> Mix:
    """Of the instructions that count. One query."""
    use_cases, languages = Counter[str](), Counter[str]()
    usable = Prompt.objects.usable().filter(project=project).order_by()
    for use_case, language, count in usable.values_list("use_case", "language").annotate(count=Count("pk")):
        use_cases[use_case] += count
        languages[language] += count
    return Mix(use_cases.most_common(), languages.most_common())


def agreement_by_week(project: Project) -> Mapping[date, Agreement]:
    """The weeks, by their Mondays, of the last quarter in which somebody ranked what somebody else had ranked."""
    since = timezone.localdate() - timedelta(weeks=WEEKS)
    ranked = Ranking.objects.filter(prompt__project=project).order_by().values("prompt")
    twice = ranked.annotate(count=Count("pk"), last=Max("created_at")).filter(count__gt=1, last__date__gte=since)
    by_week: dict[date, list[Shared]] = defaultdict(list)
    for row in shared(judgements_of(project, only=Q(prompt__in=twice.values("prompt")))):
        if (week := week_of(row)) and week >= since:
            by_week[week].append(row)
    return {week: agreement(by_week[week], draws=DRAWS) for week in sorted(by_week)}
