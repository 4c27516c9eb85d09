"""An annotator's day: take a piece of work, write or rank, submit, and be led to the next one."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation import assignment as leases
from annotation import blinding, collection, shortcuts
from annotation.forms import FORMS, AssignmentForm, DemonstrationForm, InstructionForm, RankingForm
from annotation.models import Assignment, AssignmentState, ItemKind, Project, Role, SkipReason
from annotation.progress import progress
from annotation.views.decorators import SignedInRequest, assignment_page, project_page
from annotation.views.waiting import held_by, waiting

INVALID = 422
FOUND_NOTHING = "nothing"


@project_page("GET", "POST", roles=(Role.ANNOTATOR,))
def work(request: SignedInRequest, project: Project) -> HttpResponse:
    if request.method == "POST":
        asked = request.POST.getlist("kind")
        request.session[wanted_key(project)] = [kind for kind in asked if kind in ItemKind.values]
        return next_piece(request, project)
    pieces = waiting(progress(project))
    found_nothing = FOUND_NOTHING in request.GET or not pieces
    context = {
        "project": project,
        "held": held_by(request.user, project),
        "waiting": pieces,
        "why_empty": leases.why_empty(project, request.user) if found_nothing else "",
        "guidelines": project.current_guidelines(),
        "membership": project.memberships.get(user=request.user, role=Role.ANNOTATOR),
        "has_harmful": project.items.filter(harmful=True).exclude(open_slots=[]).exists(),
    }
    return render(request, "annotation/work.html", context)


@assignment_page("GET")
def assignment(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    form = FORMS[assignment.item.kind](assignment)
    form.initial["client_key"] = uuid.uuid4()
    return assignment_form(request, assignment, form)


@assignment_page("POST")
def submit(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    form = FORMS[assignment.item.kind](assignment, request.POST)
    if not form.is_valid():
        return assignment_form(request, assignment, form, status=INVALID)
    try:
        hand_in(assignment, form)
    except collection.Refused as refusal:
        assignment.refresh_from_db(fields=["state"])
        form.add_error(None, str(refusal))
        return assignment_form(request, assignment, form, status=INVALID)
    messages.success(request, _("Saved."))
    return next_piece(request, assignment.item.project)


@assignment_page("POST")
def skip(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    if (reason := request.POST.get("reason")) not in SkipReason.values:
        return HttpResponseBadRequest(_("Say why you skip it: one of %s.") % ", ".join(SkipReason.values))
    leases.skip(assignment, reason=SkipReason(reason))
    messages.info(request, _("Skipped."))
    return next_piece(request, assignment.item.project)


@assignment_page("POST")
def draft(request: SignedInRequest, assignment: Assignment) -> JsonResponse:
    """Keeps what the form holds now, whether or not it is complete."""
    fields = FORMS[assignment.item.kind](assignment).fields
    kept = {name: request.POST[name] for name in fields if name != "client_key" and request.POST.get(name)}
    try:
        collection.save_draft(assignment, kept)
    except collection.Refused as refusal:
        return JsonResponse({"refused": str(refusal)}, status=409)
    return JsonResponse({"saved": True})


@assignment_page("POST")
def heartbeat(request: SignedInRequest, assignment: Assignment) -> JsonResponse:
    """From the open page: the person is still at it."""
    leases.heartbeat(assignment)
    assignment.refresh_from_db()
    return JsonResponse({"state": assignment.state, "lease_expires_at": assignment.lease_expires_at})


def assignment_form(
    request: SignedInRequest, assignment: Assignment, form: AssignmentForm, *, status: int = 200
) -> HttpResponse:
    item = assignment.item
    context: dict[str, Any] = {
        "assignment": assignment,
        "item": item,
        "project": item.project,
        "form": form,
        "guidelines": assignment.guidelines or item.project.current_guidelines(),
        "skip_reasons": SkipReason.choices,
        "is_late": assignment.state == AssignmentState.EXPIRED,
        "heartbeat_seconds": item.project.lease_minutes * 60 // 4,
    }
    if assignment.state in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED):
        return render(request, "annotation/finished.html", context)
    if isinstance(form, RankingForm):
        context["outputs"] = outputs(assignment, form)
        context["shortcuts"] = shortcuts.of(request.user)
        context["actions"] = [
            (action, label, context["shortcuts"]["keys"][action]) for action, label in shortcuts.LABELS.items()
        ]
    return render(request, f"annotation/assignment_{item.kind}.html", context, status=status)


def outputs(assignment: Assignment, form: RankingForm) -> list[dict[str, Any]]:
    """The outputs in the order shown. Their letters are all that the page says of them beside their text."""
    return [
        {"key": output.id, "letter": output.id.upper(), "text": output.text, **form.fields_of(output.id)}
        for output in blinding.outputs(assignment)
    ]


def hand_in(assignment: Assignment, form: AssignmentForm) -> None:
    values = form.cleaned_data
    key = values["client_key"]
    if isinstance(form, InstructionForm):
        collection.submit_instruction(
            assignment, client_key=key, messages=values["messages"],
            kind=values["kind"], use_case=values["use_case"], language=values["language"],
        )  # fmt: skip
    elif isinstance(form, DemonstrationForm):
        collection.submit_demonstration(assignment, client_key=key, text=values["text"])
    elif isinstance(form, RankingForm):
        collection.submit_ranking(
            assignment, client_key=key, groups=form.groups(), ratings=form.ratings(), flags=form.flags(),
            acceptable=form.acceptable(), note=values["note"], seconds=values["seconds"],
        )  # fmt: skip


def next_piece(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    """To the next piece of the kinds this person works on now, or to the page that says why there is none."""
    kinds = [ItemKind(kind) for kind in request.session.get(wanted_key(project), [])]
    taken = leases.take(project, request.user, kinds=kinds or None)
    if taken is None:
        return redirect(f"{reverse('work', args=[project.slug])}?{FOUND_NOTHING}")
    return redirect("assignment", taken.pk)


def wanted_key(project: Project) -> str:
    return f"kinds of work in {project.pk}"
