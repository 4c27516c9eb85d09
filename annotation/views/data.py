"""Data out of a project and into it."""

from __future__ import annotations

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from annotation import audit, exporting, importing
from annotation.forms import KIND_LABELS, ImportForm
from annotation.models import Project, Role
from annotation.progress import progress
from annotation.refusals import Refused
from annotation.views.decorators import SignedInRequest, project_page

ABOUT = {
    "instructions": _("Every instruction with its kind, use case, language and split."),
    "demonstrations": _("Every answer that a person wrote, with its prompt."),
    "rankings": _("Each annotator's rankings, one by one, with ratings, flags and the order shown."),
    "comparisons": _("The pairs that follow from the rankings: prompt, chosen, rejected."),
}
EXAMPLES = {
    "instructions": '{"prompt": "Name two rivers.", "use_case": "open_qa", "language": "en"}',
    "demonstrations": '{"prompt": "Name two rivers.", "completion": "The Nile and the Danube."}',
    "completions": '{"prompt": "Name two rivers.", "completions": [{"text": "Nile, Danube.", "model": "one"}, '
    '{"text": "Rivers are long.", "model": "two"}]}',
    "rankings": '{"prompt": "Name two rivers.", "completions": [{"text": "Nile, Danube.", "rank": 1}, '
    '{"text": "Rivers are long.", "rank": 2}], "annotator": "kim"}',
}


@project_page("GET", roles=(Role.RESEARCHER,))
def export(request: SignedInRequest, project: Project) -> HttpResponse:
    counted = progress(project)
    rows = {
        "instructions": counted.prompts,
        "demonstrations": counted.demonstrations,
        "rankings": counted.rankings,
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


@project_page("GET", "POST", roles=(Role.ADMIN,))
def import_(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    report = None
    if form.is_valid():
        sent = form.cleaned_data
        try:
            report = importing.import_rows(
                project, sent["kind"], sent["file"], user=request.user, keep_good=sent["keep_good"]
            )
        except Refused as refusal:
            form.add_error("file", str(refusal))
    examples = [(KIND_LABELS[kind], EXAMPLES[kind]) for kind in importing.KINDS]
    context = {"project": project, "form": form, "report": report, "examples": examples}
    return render(request, "annotation/import.html", context)
