"""Reports to hand on: a file each, which needs nothing beside it."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify

from annotation.models import Project
from annotation.views.decorators import SignedInRequest
from training.evaluation import report, table
from training.views.decorators import researchers_page

MOST = 12  # models side by side in one report


@researchers_page("GET")
def as_html(request: SignedInRequest, project: Project) -> HttpResponse:
    """On the models `model`, or on all of the project's where none is named."""
    made = _composed(request, project)
    return _file(report.as_html(made), made, ending="html", kind="text/html; charset=utf-8")


@researchers_page("GET")
def as_markdown(request: SignedInRequest, project: Project) -> HttpResponse:
    """The same as report.md and its plots, in one zip."""
    made = _composed(request, project)
    return _file(report.packed(report.as_markdown(made)), made, ending="zip", kind="application/zip")


def _composed(request: SignedInRequest, project: Project) -> report.Report:
    keys = request.GET.getlist("model") or [line.key for line in table.lines(project)]
    try:
        return report.compose(project, keys[:MOST])
    except report.NoModel as reason:
        raise Http404(str(reason)) from reason


def _file(content: str | bytes, made: report.Report, *, ending: str, kind: str) -> HttpResponse:
    response = HttpResponse(content, content_type=kind)
    name = f"{slugify(made.title, allow_unicode=True)[:80] or 'report'}.{ending}"
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return response
