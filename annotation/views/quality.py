"""How good the work is, for reviewers; which generators people prefer, for researchers. Looking changes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import reports
from annotation.forms import WhatIfForm
from annotation.models import Project, Ranking, Report, ReportKind, ReviewState, Role, UseCase, User
from annotation.quality import Who
from annotation.quality.report import Look
from annotation.views.decorators import SignedInRequest, project_page
from annotation.views.live import live

LOOKS = {
    Look.AGREES_LESS: gettext_lazy("agrees less than others"),
    Look.INCONSISTENT: gettext_lazy("agrees with themselves less than others with each other"),
    Look.POSITION: gettext_lazy("favours the output shown first"),
    Look.STRAIGHT: gettext_lazy("often ties all, or leaves them as shown"),
    Look.FAST: gettext_lazy("takes less than a third of the usual time"),
}
GONE = "–"
PATIENCE = 120  # seconds after which a worker should have begun
EFFECTS = {
    "length": gettext_lazy("Twice as long"),
    "headings": gettext_lazy("With headings"),
    "lists": gettext_lazy("With lists"),
    "bold": gettext_lazy("With bold text"),
}


@project_page("GET", roles=(Role.REVIEWER,))
def quality(request: SignedInRequest, project: Project) -> HttpResponse:
    names = names_of(project)
    form = WhatIfForm(request.GET or None, names=names)
    question = form.what_if().as_question()
    report = reports.find(project, ReportKind.QUALITY, question)
    context = {"form": form, "question": question}
    if report.figures:
        context |= _figures_of_quality(project, report, names)
    return _page(request, project, report, context)


@project_page("GET", roles=(Role.RESEARCHER,))
def leaderboard(request: SignedInRequest, project: Project) -> HttpResponse:
    use_case = _use_case(request.GET.get("use_case", ""))
    report = reports.find(project, ReportKind.LEADERBOARD, {"use_case": use_case} if use_case else {})
    figures = report.figures or {"boards": []}
    for effect in (effect for board in figures["boards"] for effect in board["effects"]):
        effect["label"] = EFFECTS[effect["name"]]
    context = {
        "boards": figures["boards"],
        "use_case": use_case,
        "use_cases": [(value, capfirst(str(label))) for value, label in UseCase.choices],
    }
    return _page(request, project, report, context)


@project_page("POST", roles=(Role.REVIEWER,))
def ask_quality(request: SignedInRequest, project: Project) -> HttpResponse:
    """Have the figures made (anew), with what the form leaves out."""
    form = WhatIfForm(request.POST, names=names_of(project))
    reports.ask(project, ReportKind.QUALITY, form.what_if().as_question())
    return _back_to("quality", request, project)


@project_page("POST", roles=(Role.RESEARCHER,))
def ask_leaderboard(request: SignedInRequest, project: Project) -> HttpResponse:
    use_case = _use_case(request.POST.get("use_case", ""))
    reports.ask(project, ReportKind.LEADERBOARD, {"use_case": use_case} if use_case else {})
    return _back_to("leaderboard", request, project)


def _page(request: SignedInRequest, project: Project, report: Report, context: dict[str, Any]) -> HttpResponse:
    """What was asked is sent again with a wish for newer figures."""
    waited = (timezone.now() - report.asked_at).total_seconds() if report.asked_at else 0
    context |= {
        "project": project,
        "kept": report,
        "at_once": report.pk is None and report.figures is not None,  # nothing is kept of it
        "asked": [(name, value) for name, values in request.GET.lists() if name != "phase" for value in values],
        "nobody_makes": waited > PATIENCE,
    }
    phase = f"{report.is_waiting}{report.made_at and report.made_at.timestamp()}"
    return live(request, f"annotation/{report.kind}.html", context, phase=phase)


def _figures_of_quality(project: Project, report: Report, names: dict[Who, str]) -> dict[str, Any]:
    """What the worker or we have computed, with names and labels of today."""
    figures: dict[str, Any] = report.figures or {}
    found, rejected = figures["report"], rejected_by(project)
    for week in found["weeks"]:
        week["name"] = date.fromisoformat(week["name"])
    known = {**names, None: _("unknown")}
    writing = User.objects.filter(pk__in=[each["who"] for each in figures["writers"]])
    people = dict(writing.values_list("pk", "username"))
    return {
        "report": found,
        "whole": figures["whole"],
        "annotators": [
            {
                "figures": each,
                "name": known.get(each["who"], GONE),
                "rejected": rejected[each["who"]],
                "look": [LOOKS[look] for look in each["look"]],
            }
            for each in found["annotators"]
        ],
        "pairs": [
            {"figures": pair, "names": [known.get(pair[side], GONE) for side in ("one", "other")]}
            for pair in found["pairs"]
        ],
        "use_cases": [(capfirst(str(UseCase(group["name"]).label)), group) for group in found["use_cases"]],
        "writers": [(people.get(each["who"], GONE), each) for each in figures["writers"]],
    }


def _back_to(name: str, request: SignedInRequest, project: Project) -> HttpResponse:
    asked = [(key, value) for key, values in request.POST.lists() for value in values if key != "csrfmiddlewaretoken"]
    query = urlencode([(key, value) for key, value in asked if value])
    return redirect(reverse(name, args=[project.slug]) + (f"?{query}" if query else ""))


def _use_case(asked: str) -> str:
    return asked if asked in UseCase.values else ""


def names_of(project: Project) -> dict[Who, str]:
    """What to call each annotator: their user name, or the name that a file gave."""
    rows = Ranking.objects.filter(prompt__project=project).exclude(origin__has_key="edit_in").order_by()
    seen = {name or person for person, name in rows.values_list("annotator_id", "origin__annotator").distinct()}
    people = dict(
        User.objects.filter(pk__in=[who for who in seen if isinstance(who, int)]).values_list("pk", "username")
    )
    named = {who: people.get(who, str(who)) if isinstance(who, int) else who or _("unknown") for who in seen}
    return dict(sorted(named.items(), key=lambda entry: entry[1].casefold()))


def rejected_by(project: Project) -> Counter[Who]:
    rejected = Ranking.objects.filter(prompt__project=project, review=ReviewState.REJECTED)
    rows = rejected.values_list("annotator_id", "origin")
    return Counter(origin.get("annotator") or person for person, origin in rows)
