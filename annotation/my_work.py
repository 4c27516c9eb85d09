"""What somebody has done in a project: every piece with what became of it, their pace, and their timesheet."""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO

from django.db.models import Count, DurationField, ExpressionWrapper, F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Extract, Least, TruncDate
from django.utils import timezone

from annotation import editing
from annotation.formats import cell
from annotation.models import (
    Appeal,
    Assignment,
    AssignmentState,
    ItemKind,
    PaidPer,
    PayRate,
    Project,
    Ranking,
    ReviewState,
    User,
)
from annotation.quality import Agreement, agreement, judgements_of, shared

RECENT = timedelta(days=30)
COLUMNS = ("day", "kind", "submitted", "skipped", "seconds", "rate", "per", "pay", "currency")
ENOUGH_PAIRS = 30
LEAST_HOURS = 1 / 60
DRAWS = 200


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
    """What one person did of one kind on one day. `rate`: what they were paid for it then, if anything."""

    day: date
    annotator: int
    kind: ItemKind
    submitted: int
    skipped: int
    seconds: float
    rate: PayRate | None

    @property
    def time(self) -> timedelta:
        return timedelta(seconds=round(self.seconds))

    @property
    def pay(self) -> Decimal | None:
        """By the piece submitted, or by the time spent; to a ten-thousandth, so that sums do not drift."""
        if self.rate is None:
            return None
        units = Decimal(self.submitted) if self.rate.per == PaidPer.PIECE else Decimal(round(self.seconds)) / 3600
        return (units * self.rate.amount).quantize(Decimal("0.0001"))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """`pace`: pieces an hour in the last 30 days; None where too little time was counted to say.

    `accepted` and `rejected` are of those reviewed.

    `medians`: the median seconds by kind, in the last 30 days. `agreement`: with others who ranked the same outputs as
    the person in that time; None while there are too few pairs to say anything.
    """

    submitted: int
    today: int
    time: timedelta
    pace: float | None
    medians: list[tuple[ItemKind, float]]
    agreement: Agreement | None
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
        pace=sum(each.submitted for each in recent) / hours if hours >= LEAST_HOURS else None,
        medians=medians(own),
        agreement=own_agreement(project, user),
        accepted=reviewed[ReviewState.ACCEPTED],
        rejected=reviewed[ReviewState.REJECTED],
    )


def medians(own: QuerySet[Assignment]) -> list[tuple[ItemKind, float]]:
    recent = own.filter(finished_at__gt=timezone.now() - RECENT).order_by()
    by_kind: dict[str, list[float]] = defaultdict(list)
    for kind, seconds in recent.values_list("item__kind", "seconds"):
        if seconds is not None:
            by_kind[kind].append(seconds)
    return [(kind, statistics.median(by_kind[kind])) for kind in ItemKind if kind in by_kind]


def own_agreement(project: Project, user: User) -> Agreement | None:
    """Of one person with whoever ranked the same outputs."""
    ranked = Ranking.objects.filter(annotator=user, prompt__project=project, created_at__gt=timezone.now() - RECENT)
    compared = shared(judgements_of(project, only=Q(prompt__in=ranked.values("prompt"))))
    found = agreement([row for row in compared if user.pk in (row.one, row.other)], draws=DRAWS)
    return found if found.pairs >= ENOUGH_PAIRS else None


def timesheet(project: Project, user: User | None = None) -> list[Day]:
    """A person's days and kinds of work, the newest first; everybody's where nobody is named. Two queries.

    Time is what the page counted while it was in use.

    Where a script submitted without counting, it is the time from taking to submitting, one lease at most.
    """
    passed = ExpressionWrapper(F("finished_at") - F("leased_at"), output_field=DurationField())
    lease = Value(project.lease_minutes * 60.0, FloatField())
    spent = Coalesce("seconds", Least(Extract(passed, "epoch", output_field=FloatField()), lease))
    done = Assignment.objects.filter(item__project=project, finished_at__isnull=False)
    rates = PayRate.objects.filter(project=project).order_by("-since")
    if user is not None:
        done, rates = done.filter(annotator=user), rates.filter(user=user)
    known = list(rates)
    rows = (
        done.order_by()
        .annotate(day=TruncDate("finished_at"))
        .values("day", "annotator", "item__kind")
        .annotate(
            submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
            skipped=Count("pk", filter=Q(state=AssignmentState.SKIPPED)),
            spent=Sum(spent),
        )
        .order_by("-day", "annotator", "item__kind")
    )
    return [
        Day(
            day=row["day"], annotator=row["annotator"], kind=ItemKind(row["item__kind"]), submitted=row["submitted"],
            skipped=row["skipped"], seconds=row["spent"],
            rate=next((rate for rate in known if rate.user_id == row["annotator"] and rate.since <= row["day"]), None),
        )
        for row in rows
    ]  # fmt: skip


def as_csv(project: Project, user: User | None = None) -> str:
    """The timesheet as a file; everybody's has a column that says whose each line is."""
    file = StringIO()
    sheet = csv.writer(file)
    days = timesheet(project, user)
    names = dict(User.objects.filter(pk__in={day.annotator for day in days}).values_list("pk", "username"))
    sheet.writerow(COLUMNS if user else ("person", *COLUMNS))
    for day in days:
        done = (day.day.isoformat(), day.kind.value, day.submitted, day.skipped, round(day.seconds))
        paid = (day.rate.amount, day.rate.per, day.pay, project.currency) if day.rate else ("", "", "", "")
        sheet.writerow((*done, *paid) if user else (cell(names[day.annotator]), *done, *paid))
    return file.getvalue()


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
