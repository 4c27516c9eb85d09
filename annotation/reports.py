"""Reports on a project's work: made at once where that is quick, else by a worker, and kept with their time.

The row in the database says what is to be made; a message is only a nudge. One worker at a time makes a report, however
often it is asked for; what it finds is dropped where the row was forgotten meanwhile. Looking changes nothing: a report
is made anew when somebody asks, and by the clock when it is old and something has been done since.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Count, F, Max
from django.utils import timezone

from annotation import figures
from annotation.figures import Figures, Question
from annotation.messages import nudge
from annotation.models import Project, Ranking, Report, ReportKind, Review

AT_ONCE = 3_000  # rankings of which everything is made in half a second of processor time
OLD = timedelta(hours=1)
KEPT = timedelta(days=1)
MOST_BEGUN = 3
LOCK = 0x5250  # the first of two; the second is the report
TASK = "annotation.tasks.make_report"

MAKERS: dict[str, Callable[[Project, Question], Figures]] = {
    ReportKind.QUALITY: figures.quality,
    ReportKind.LEADERBOARD: figures.leaderboard,
}


def is_quick(project: Project) -> bool:
    """Whether the project is so small that nobody has to wait for its figures."""
    return Ranking.objects.filter(prompt__project=project)[: AT_ONCE + 1].count() <= AT_ONCE


def find(project: Project, kind: ReportKind, question: Question) -> Report:
    """The report made now, where that is quick; else the one kept. One that nobody has asked for has no figures."""
    asked = Report(project=project, kind=kind, question=question)
    if is_quick(project):
        asked.figures, asked.made_at = MAKERS[kind](project, question), timezone.now()
        return asked
    return _kept(project, kind, question) or asked


def ask(project: Project, kind: ReportKind, question: Question) -> Report:
    """Have the report made anew. One that waits for it already, or is quick, is not asked for again."""
    if is_quick(project):
        return find(project, kind, question)
    report, _new = Report.objects.get_or_create(project=project, kind=kind, question=question)
    Report.objects.filter(pk=report.pk, asked_at=None).update(asked_at=timezone.now(), begun=0, failure="")
    nudge(TASK, report.pk)
    report.refresh_from_db()
    return report


def make(report_id: int) -> None:
    """Make a report that was asked for. Nothing, where somebody is at it."""
    try:
        _make(report_id)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        Report.objects.filter(pk=report_id).update(asked_at=None, failure=failure)
        raise


def forget(project: Project) -> None:
    """Remove what is kept of the project: it may speak of work that is gone."""
    Report.objects.filter(project=project).delete()


def sweep() -> None:
    """Remind the workers of what waits, have made anew what is old, and forget questions that nobody asks any more."""
    for pk in Report.objects.waiting().values_list("pk", flat=True):
        nudge(TASK, pk)
    Report.objects.filter(asked_at=None, made_at__lt=timezone.now() - KEPT).exclude(question={}).delete()
    for project in Project.objects.active():
        for kind in ReportKind:
            if _is_out_of_date(project, kind):
                ask(project, kind, {})


def _kept(project: Project, kind: ReportKind, question: Question) -> Report | None:
    return Report.objects.filter(project=project, kind=kind, question=question).first()


def _make(report_id: int) -> None:
    """The first transaction counts the beginning, which outlives a worker that is killed in the second one."""
    with transaction.atomic():
        report = Report.objects.waiting().select_related("project").filter(pk=report_id).first()
        if report is None or not _is_free(report):
            return
        own = Report.objects.filter(pk=report.pk, asked_at=report.asked_at)
        if report.begun >= MOST_BEGUN:
            failure = f"The worker ended in the middle of it {MOST_BEGUN} times. Its log may say why."
            own.update(asked_at=None, failure=failure)
            return
        own.update(begun=F("begun") + 1)
    with transaction.atomic():
        if _is_free(report) and own.exists():
            made = {"standing": _standing(report.project), "made_at": timezone.now(), "failure": ""}
            own.update(asked_at=None, figures=MAKERS[report.kind](report.project, report.question), **made)


def _is_free(report: Report) -> bool:
    """Whether nobody else is at it; then nobody is until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", [LOCK, report.pk])
        return bool(cursor.fetchone()[0])


def _is_out_of_date(project: Project, kind: ReportKind) -> bool:
    """Whether the report on everything is worth being made by the clock. One that fails is left to people."""
    kept = _kept(project, kind, {})
    if kept is not None and (kept.is_waiting or kept.failure):
        return False
    if kept is None or kept.made_at is None:
        return not is_quick(project)
    return kept.made_at < timezone.now() - OLD and kept.standing != _standing(project) and not is_quick(project)


def _standing(project: Project) -> dict[str, int | str | None]:
    """What tells that something has been done: ranked, edited, reviewed or taken back."""
    rankings = Ranking.objects.filter(prompt__project=project)
    seen = rankings.aggregate(count=Count("pk"), last=Max("pk"), edited=Max("edited_at"))
    reviewed = Review.objects.filter(project=project).aggregate(last=Max("pk"))["last"]
    return seen | {"edited": seen["edited"] and seen["edited"].isoformat(), "reviewed": reviewed}
