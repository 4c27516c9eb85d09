"""Taking work back, leaving with all of it, erasing a person: each a page that says what happens, and a verb."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation import editing, erasing, my_work, withdrawing
from annotation.forms import EraseForm
from annotation.models import Assignment, Project, Role, User
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, assignment_page, project_page


@assignment_page("GET", "POST")
def withdraw(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    project = assignment.item.project
    if request.method == "POST":
        try:
            withdrawing.withdraw(assignment)
            messages.success(request, _("Taken back. It is removed."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return redirect("mine", project.slug)
    if editing.record_of(assignment) is None:
        return redirect("mine", project.slug)
    context = {"project": project, "assignment": assignment, "piece": my_work.pieces(project, [assignment])[0]}
    return render(request, "annotation/withdraw.html", context)


@project_page("GET", "POST", roles=(Role.ANNOTATOR,))
def leave(request: SignedInRequest, project: Project) -> HttpResponse:
    if request.method == "POST":
        withdrawing.leave(project, request.user)
        messages.success(request, _("You have left %s. What you wrote and ranked there is removed.") % project)
        return redirect("home")
    counts = {kind: len(ids) for kind, ids in withdrawing.records_by(project, request.user).items()}
    return render(request, "annotation/leave.html", {"project": project, "counts": counts})


@project_page("GET", "POST", roles=(Role.ADMIN,))
def erase(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    person: User = get_object_or_404(erasing.people(project), pk=pk)
    form = EraseForm(request.POST if request.method == "POST" else None, person=person)
    if form.is_valid():
        try:
            erasing.erase(project, person, by=request.user)
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Erased. Nothing of this person is left in the project."))
            return redirect("members", project.slug)
    context = {
        "project": project,
        "person": person,
        "form": form,
        "counts": {kind: len(ids) for kind, ids in withdrawing.records_by(project, person).items()},
        "keeps_account": erasing.is_known_elsewhere(project, person),
    }
    return render(request, "annotation/erase.html", context, status=INVALID if form.is_bound else 200)
