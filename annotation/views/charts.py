"""A project in pictures: what was done, what waits, how far people agree, what the instructions are like."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from annotation import boards, charts
from annotation.models import ItemKind, Project, Role, UseCase
from annotation.progress import progress
from annotation.quality import Agreement
from annotation.templatetags.plumbline import language_name
from annotation.views.decorators import SignedInRequest, project_page

CHARTS_FOR = (Role.REVIEWER, Role.RESEARCHER)


@project_page("GET", roles=CHARTS_FOR)
def in_pictures(request: SignedInRequest, project: Project) -> HttpResponse:
    mix, waiting = boards.mix(project), boards.backlog(project, progress(project))
    drawn = [done_chart(project), agreement_chart(boards.agreement_by_week(project))]
    context = {
        "project": project,
        "charts": [chart for chart in drawn if chart],
        "backlog": waiting,
        "most_waiting": max(each.waiting for each in waiting),
        "mixes": [
            (
                _("By use case"),
                _("Use case"),
                shares([(capfirst(str(UseCase(key).label)), n) for key, n in mix.use_cases]),
            ),
            (_("By language"), _("Language"), shares([(language_name(key), n) for key, n in mix.languages])),
        ],
    }
    return render(request, "annotation/charts.html", context)


def done_chart(project: Project) -> charts.Chart | None:
    done = boards.throughput(project)
    if not any(done.values()):
        return None
    return charts.draw(
        [{"step": day.toordinal(), **{kind.value: count[kind] for kind in ItemKind}} for day, count in done.items()],
        {
            ItemKind.INSTRUCTION: _("Instructions"),
            ItemKind.DEMONSTRATION: _("Answers"),
            ItemKind.RANKING: _("Rankings"),
        },
        title=_("Done a day"),
        explanation=_("Pieces submitted in the last 30 days; the days are those of UTC."),
        y_title=_("pieces"),
        days=True,
    )


def agreement_chart(weeks: Any) -> charts.Chart | None:
    return charts.draw(
        [percentages(week, found) for week, found in weeks.items()],
        {"value": _("Agreement"), "low": _("Lower end of its range"), "high": _("Upper end of its range")},
        title=_("Agreement by week"),
        explanation=_("Of two people who ranked the same outputs, in each pair of them. By chance it is 50%."),
        y_title="%",
        x_title=_("week from"),
        days=True,
    )


def percentages(week: date, found: Agreement) -> dict[str, float]:
    figures = {"value": found.value, "low": found.low, "high": found.high}
    return {"step": week.toordinal(), **{name: round(100 * value, 1) for name, value in figures.items()}}


def shares(counts: list[tuple[str, int]]) -> list[tuple[str, int, float]]:
    total = sum(count for _name, count in counts)
    return [(name, count, 100 * count / total) for name, count in counts]
