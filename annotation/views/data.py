"""Data out of a project and into it."""

from __future__ import annotations

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from annotation import exporting, importing
from annotation.forms import IMPORT_KINDS, ImportForm
from annotation.models import Project, Role
from annotation.progress import progress
from annotation.refusals import Refused
from annotation.views.decorators import SignedInRequest, project_page

EXPORTED = {
    "instructions": (_("Instructions"), _("Every instruction with its kind, use case, language and split.")),
    "demonstrations": (_("Demonstrations"), _("Every answer that a person wrote, with its prompt.")),
    "rankings": (_("Rankings"), _("Each annotator's rankings, one by one, with ratings, flags and the order shown.")),
    "comparisons": (_("Comparisons"), _("The pairs that follow from the rankings: prompt, chosen, rejected.")),
}
EXAMPLES = {
    "instructions": '{"prompt": "Name three rivers.", "use_case": "open_qa", "language": "en"}',
    "demonstrations": '{"prompt": "Name three rivers.", "completion": "The Nile, the Danube and the Yangtze."}',
    "completions": '{"prompt": "Name three rivers.", "generator": "model-1", "text": "Nile, Danube, Yangtze."}',
    "rankings": '{"prompt": "Name three rivers.", "completions": [{"text": "…", "rank": 1}, {"text": "…", "rank": 2}]}',
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
        {"name": kind, "label": EXPORTED[kind][0], "about": EXPORTED[kind][1], "rows": rows.get(kind)}
        for kind in exporting.KINDS
    ]
    context = {"project": project, "kinds": kinds, "formats": exporting.FORMATS}
    return render(request, "annotation/export.html", context)


@project_page("GET", roles=(Role.RESEARCHER,))
def export_file(request: SignedInRequest, project: Project, kind: str, form: str) -> HttpResponseBase:
    if kind not in exporting.KINDS or form not in exporting.FORMATS:
        raise Http404(f"No export of {kind!r} as {form!r}.")
    response = StreamingHttpResponse(exporting.stream(project, kind, form), content_type=exporting.FORMATS[form])
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-{kind}.{form}"'
    return response


@project_page("GET", "POST", roles=(Role.ADMIN,))
def import_(request: SignedInRequest, project: Project) -> HttpResponse:
    sent = request.method == "POST"
    form = ImportForm(request.POST, request.FILES) if sent else ImportForm()
    report = None
    if form.is_valid():
        kind, file = form.cleaned_data["kind"], form.cleaned_data["file"]
        try:
            report = importing.import_rows(project, kind, file, user=request.user)
        except Refused as refusal:
            form.add_error("file", str(refusal))
    examples = [(label, EXAMPLES[kind]) for kind, label in IMPORT_KINDS]
    context = {"project": project, "form": form, "report": report, "examples": examples}
    return render(request, "annotation/import.html", context)
