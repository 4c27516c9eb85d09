"""Data out of a project."""

from __future__ import annotations

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from annotation import audit, exporting
from annotation.forms import KIND_LABELS
from annotation.models import Demonstration, Project, Prompt, Ranking, Role
from annotation.views.decorators import SignedInRequest, project_page

ABOUT = {
    "instructions": _("Every instruction with its kind, use case, language and split."),
    "demonstrations": _("Every answer that a person wrote, with its prompt."),
    "rankings": _("Each annotator's rankings, one by one, with ratings, flags and the order shown."),
    "comparisons": _("The pairs that follow from the rankings: prompt, chosen, rejected."),
}


@project_page("GET", roles=(Role.RESEARCHER,))
def export(request: SignedInRequest, project: Project) -> HttpResponse:
    rows = {
        "instructions": Prompt.objects.filter(project=project).count(),
        "demonstrations": Demonstration.objects.filter(prompt__project=project).count(),
        "rankings": Ranking.objects.filter(prompt__project=project).count(),
    }
    kinds = [
        {"name": kind, "label": KIND_LABELS[kind], "about": ABOUT[kind], "rows": rows.get(kind)}
        for kind in exporting.KINDS
    ]
    context = {"project": project, "kinds": kinds, "formats": exporting.FORMATS}
    return render(request, "annotation/export.html", context)


@project_page("GET", roles=(Role.RESEARCHER,))
def export_file(request: SignedInRequest, project: Project, kind: str, form: str) -> HttpResponseBase:
    """Changes nothing; that somebody took the data away is noted all the same."""
    if kind not in exporting.KINDS or form not in exporting.FORMATS:
        raise Http404(f"No export of {kind!r} as {form!r}.")
    audit.record(audit.Action.EXPORTED, actor=request.user, project=project, kind=kind, format=form)
    response = StreamingHttpResponse(exporting.stream(project, kind, form), content_type=exporting.FORMATS[form])
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-{kind}.{form}"'
    return response
