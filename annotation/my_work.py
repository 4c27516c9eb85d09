"""What somebody has done in a project: every piece with what became of it, their pace, and their timesheet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Extract, Least, TruncDate
from django.utils import timezone

from annotation import editing
from annotation.models import Appeal, Assignment, AssignmentState, ItemKind, Project, ReviewState, User

RECENT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One assignment and what became of it."""

    assignment: Assignment
    record: editing.Work | None
    reason: str
    appeal: Appeal | None
    came_too_late: bool
    may_change: bool
    may_appeal: bool

    @property
    def is_about_nothing(self) -> bool:
        """Whether the instruction or an output that it was about is gone."""
        return self.assignment.item.prompt_id is None and self.assignment.item.kind != ItemKind.INSTRUCTION


@dataclass(frozen=True, kw_only=True)
class Day:
    day: date
    kind: ItemKind
    submitted: int
    skipped: int
    seconds: float

    @property
    def time(self) -> timedelta:
        return timedelta(seconds=round(self.seconds))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """`pace`: pieces an hour in the last 30 days; None where no time was counted. Accepted of those reviewed."""

    submitted: int
    today: int
    time: timedelta
    pace: float | None
    accepted: int
    rejected: int


def assignments(project: Project, user: User) -> QuerySet[Assignment]:
    """Everything the person took, the newest first."""
    own = Assignment.objects.filter(item__project=project, annotator=user).order_by("-pk")
    return own.select_related("item__prompt", "prompt", "demonstration", "ranking", "appeal")


def pieces(project: Project, page: Iterable[Assignment]) -> list[Piece]:
    return [_piece(project, assignment) for assignment in page]


def summary(project: Project, user: User) -> Summary:
    own = Assignment.objects.filter(item__project=project, annotator=user, state=AssignmentState.SUBMITTED)
    reviewed = {
        state: sum(
            model._default_manager.filter(assignment__in=own, review=state).count()
            for model in editing.RECORDS.values()
        )
        for state in (ReviewState.ACCEPTED, ReviewState.REJECTED)
    }
    days = timesheet(project, user)
    recent = [each for each in days if each.day > timezone.localdate() - RECENT]
    hours = sum(each.seconds for each in recent) / 3600
    return Summary(
        submitted=own.count(),
        today=sum(each.submitted for each in days if each.day == timezone.localdate()),
        time=timedelta(seconds=round(sum(each.seconds for each in days))),
        pace=sum(each.submitted for each in recent) / hours if hours else None,
        accepted=reviewed[ReviewState.ACCEPTED],
        rejected=reviewed[ReviewState.REJECTED],
    )


def timesheet(project: Project, user: User) -> list[Day]:
    """Days and kinds of work, the newest first. Time is what the page counted while it was in use.

    Where a script submitted without counting, it is the time from taking to submitting, one lease at most.
    """
    passed = ExpressionWrapper(F("finished_at") - F("leased_at"), output_field=DurationField())
    lease = Value(project.lease_minutes * 60.0, FloatField())
    spent = Coalesce("seconds", Least(Extract(passed, "epoch", output_field=FloatField()), lease))
    own = Assignment.objects.filter(item__project=project, annotator=user, finished_at__isnull=False)
    rows = (
        own.order_by()
        .annotate(day=TruncDate("finished_at"))
        .values("day", "item__kind")
        .annotate(
            submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
            skipped=Count("pk", filter=Q(state=AssignmentState.SKIPPED)),
            spent=Sum(spent),
        )
        .order_by("-day", "item__kind")
    )
    return [
        Day(
            day=row["day"], kind=ItemKind(row["item__kind"]), submitted=row["submitted"], skipped=row["skipped"],
            seconds=row["spent"],
        )
        for row in rows
    ]  # fmt: skip


def why_rejected(record: editing.Work) -> str:
    """The reason that the reviewer gave."""
    if record.review != ReviewState.REJECTED:
        return ""
    return record.reviews.order_by("-pk").values_list("reason", flat=True).first() or ""


def _piece(project: Project, assignment: Assignment) -> Piece:
    name = {ItemKind.INSTRUCTION: "prompt", ItemKind.DEMONSTRATION: "demonstration", ItemKind.RANKING: "ranking"}
    record: editing.Work | None = getattr(assignment, name[ItemKind(assignment.item.kind)], None)
    appeal = getattr(assignment, "appeal", None)
    reviewed = ReviewState.PENDING if record is None else record.review
    return Piece(
        assignment=assignment,
        record=record,
        reason="" if record is None else why_rejected(record),
        appeal=appeal,
        came_too_late=assignment.state == AssignmentState.EXPIRED and "late" in assignment.draft,
        may_change=record is not None and not editing.settled(record, project),
        may_appeal=reviewed == ReviewState.REJECTED and appeal is None,
    )
