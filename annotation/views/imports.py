"""Data into a project: a file is looked through, shown as it was understood, and imported once its admin says so."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import importing, passes, uploads
from annotation.forms import KIND_LABELS, ImportForm
from annotation.models import Project, Role, Upload
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, project_page
from annotation.views.live import live

ERRORS_SHOWN = 200
LATELY = 10
EXAMPLES = {
    "instructions": '{"prompt": "Name two rivers.", "use_case": "open_qa", "language": "en"}',
    "demonstrations": '{"prompt": "Name two rivers.", "completion": "The Nile and the Danube."}',
    "completions": '{"prompt": "Name two rivers.", "completions": [{"text": "Nile, Danube.", "model": "one"}, '
    '{"text": "Rivers are long.", "model": "two"}]}',
    "rankings": '{"prompt": "Name two rivers.", "completions": [{"text": "Nile, Danube.", "rank": 1}, '
    '{"text": "Rivers are long.", "rank": 2}], "annotator": "kim"}',
}


@project_page("GET", "POST", roles=(Role.ADMIN,))
def import_(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if form.is_valid():
        sent = form.cleaned_data
        try:
            upload = uploads.receive(project, sent["kind"], sent["file"], user=request.user)
        except Refused as refusal:
            form.add_error("file", str(refusal))
        else:
            return redirect("import-file", project.slug, upload.pk)
    examples = [(KIND_LABELS[kind], EXAMPLES[kind]) for kind in importing.KINDS]
    lately = [(upload, KIND_LABELS[upload.kind]) for upload in project.uploads.select_related("user")[:LATELY]]
    context = {"project": project, "form": form, "examples": examples, "lately": lately}
    return render(request, "annotation/import.html", context, status=INVALID if form.is_bound else 200)


@project_page("GET", roles=(Role.ADMIN,))
def import_file(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    """What a file would bring, what it has brought, or how far it is."""
    upload = get_object_or_404(Upload, pk=pk, project=project)
    sign = passes.sign(upload) if upload.is_waiting else None
    waited = (timezone.now() - upload.changed_at).total_seconds()
    context = {
        "project": project,
        "upload": upload,
        "kind": KIND_LABELS[upload.kind],
        "sign": sign,
        "lines": upload.good + upload.bad,
        "is_stopping": upload.is_waiting and passes.is_stopping(upload),
        "nobody_begins": upload.is_waiting and sign is None and waited > passes.PATIENCE,
        "errors": upload.errors[:ERRORS_SHOWN],
        "errors_left_out": upload.bad > ERRORS_SHOWN,
    }
    return live(request, "annotation/import_file.html", context, phase=upload.state)


@project_page("POST", roles=(Role.ADMIN,))
def confirm(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    upload = get_object_or_404(Upload, pk=pk, project=project)
    try:
        uploads.confirm(upload, keep_good="keep_good" in request.POST)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("import-file", project.slug, upload.pk)


@project_page("POST", roles=(Role.ADMIN,))
def stop(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    upload = get_object_or_404(Upload, pk=pk, project=project)
    try:
        uploads.stop(upload)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("import-file", project.slug, upload.pk)


@project_page("POST", roles=(Role.ADMIN,))
def begin_again(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    uploads.begin_again(get_object_or_404(Upload, pk=pk, project=project))
    return redirect("import-file", project.slug, pk)


@project_page("POST", roles=(Role.ADMIN,))
def discard(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    upload = get_object_or_404(Upload, pk=pk, project=project)
    try:
        uploads.discard(upload)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("import-file", project.slug, upload.pk)
    if upload.rows:
        messages.info(request, _("%s was discarded; what was imported of it stays.") % upload.name)
    else:
        messages.info(request, _("%s was not imported.") % upload.name)
    return redirect("import", project.slug)
