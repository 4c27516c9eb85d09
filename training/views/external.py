"""External models, for a project's admins, and requests for outputs, for its researchers."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from annotation import access
from annotation.models import Project, Role
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, page, project_page
from annotation.views.live import live
from training.access import AdminsOf
from training.external import asking, registering
from training.external.forms import AskForm, ExternalModelForm
from training.external.problems import PASSING
from training.models import ExternalModel, OutputRequest, RequestState, WantedOutput
from training.views.decorators import researchers_page, row_page


@project_page("GET", "POST", roles=(Role.ADMIN,))
@sensitive_post_parameters("key")
@sensitive_variables()
def models(request: SignedInRequest, project: Project) -> HttpResponse:
    """The project's external models and the form that registers one."""
    form = ExternalModelForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid() and (made := form.save_by(request.user)):
        messages.success(request, _("%(name)s has been added. A worker asks it for a first answer.") % {"name": made})
        return redirect("external-model", made.pk)
    known = ExternalModel.objects.filter(project=project).select_related("generator")
    context = {"project": project, "form": form, "models": known}
    return render(request, "training/external_models.html", context, status=INVALID if form.errors else None)


@page("GET", "POST", audience=AdminsOf(ExternalModel))
@sensitive_post_parameters("key")
@sensitive_variables()
def model(request: SignedInRequest, model: ExternalModel) -> HttpResponse:
    """What is known of it and what may be changed; everything but its key."""
    form = ExternalModelForm(model.project, request.POST if request.method == "POST" else None, instance=model)
    if form.is_valid() and form.save_by(request.user):
        messages.success(request, _("Saved. A worker asks it for a first answer."))
        return redirect("external-model", model.pk)
    model = ExternalModel.objects.select_related("project", "generator").get(pk=model.pk)  # as it is, not as was sent
    context = {
        "project": model.project,
        "form": form,
        "model": model,
        "status": status_of(model),
        "passes": model.problem in PASSING,
    }
    return render(request, "training/external_model.html", context, status=INVALID if form.errors else None)


def status_of(model: ExternalModel) -> str:
    """A word for its state."""
    if model.removed_at is not None:
        return "removed"
    if model.checked_at is None:
        return "unknown"
    if model.stopped:
        return "stopped"
    return "troubled" if model.problem else "answers"


@page("POST", audience=AdminsOf(ExternalModel))
def check(request: SignedInRequest, model: ExternalModel) -> HttpResponse:
    try:
        registering.look_again(model, by=request.user)
        messages.success(request, _("A worker asks it for an answer; look again in a moment."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("external-model", model.pk)


@page("POST", audience=AdminsOf(ExternalModel))
def remove(request: SignedInRequest, model: ExternalModel) -> HttpResponse:
    registering.remove(model, by=request.user)
    messages.success(request, _("%(name)s is removed, and its key forgotten.") % {"name": model})
    return redirect("external-models", model.project.slug)


@researchers_page("GET", "POST")
def outputs(request: SignedInRequest, project: Project) -> HttpResponse:
    """The project's requests for outputs and the form that makes one."""
    form = AskForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid() and (asked := form.save_by(request.user)):
        messages.success(request, _("The prompts are on their way to those who answer."))
        return redirect("output-request", asked.pk)
    requests = OutputRequest.objects.filter(project=project).annotate(prompts=Count("sets"), queued=Count("sets__item"))
    context = {
        "project": project,
        "form": form,
        "left": asking.candidates(project, filters={}).count(),
        "requests": requests.prefetch_related("generators")[:50],
        "may_register": access.can(request.user, project, Role.ADMIN),
    }
    return render(request, "training/outputs.html", context, status=INVALID if form.errors else None)


@row_page(OutputRequest, "GET")
def output_request(request: SignedInRequest, asked: OutputRequest) -> HttpResponse:
    failed = WantedOutput.objects.filter(set__request=asked).exclude(problem="").select_related("generator")
    context = {
        "project": asked.project,
        "asked": asked,
        "progress": asking.progress(asked),
        "failed": failed[:20],
        "stopped": ExternalModel.objects.filter(
            generator__in=asked.generators.all(), stopped=True, removed_at=None
        ).select_related("generator"),
        "runs": asked.project.runs.filter(inputs__outputs=asked.pk),
        "is_running": asked.state == RequestState.RUNNING,
    }
    return live(request, "training/output_request.html", context, phase=asked.state)


@row_page(OutputRequest, "POST")
def cancel(request: SignedInRequest, asked: OutputRequest) -> HttpResponse:
    try:
        asking.cancel(asked, by=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("output-request", asked.pk)
