"""What is an annotator's own: their work and time, the terms they agree to, their appeals and the answers."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation import appeals, my_work, screening, terms
from annotation.forms import AppealAnswerForm, AppealForm
from annotation.models import Appeal, Assignment, Project, Role
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, assignment_page, project_page

A_PAGE = 25


@project_page("GET", roles=(Role.ANNOTATOR,))
def mine(request: SignedInRequest, project: Project) -> HttpResponse:
    page = Paginator(my_work.assignments(project, request.user), A_PAGE).get_page(request.GET.get("page"))
    days = my_work.timesheet(project, request.user)[:A_PAGE]
    context = {
        "project": project,
        "page": page,
        "pieces": my_work.pieces(project, page.object_list),
        "summary": my_work.summary(project, request.user),
        "days": days,
        "is_paid": any(day.rate for day in days),
        "terms": project.current_terms(),
        "standing": screening.standing(project, request.user),
    }
    return render(request, "annotation/mine.html", context)


@project_page("GET", roles=(Role.ANNOTATOR,))
def timesheet(request: SignedInRequest, project: Project) -> HttpResponse:
    response = HttpResponse(my_work.as_csv(project, request.user), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-timesheet.csv"'
    return response


@project_page("GET", "POST", roles=(Role.ANNOTATOR,))
def agree(request: SignedInRequest, project: Project) -> HttpResponse:
    """The terms in force. Nobody gets a piece before agreeing to them, as they stand when they are agreed to."""
    current = project.current_terms()
    if request.method == "POST":
        if current is None or request.POST.get("version") != str(current.version):
            return redirect("terms", project.slug)
        terms.accept(current, request.user)
        return redirect("work", project.slug)
    context = {"project": project, "terms": current, "due": terms.due(project, request.user) is not None}
    return render(request, "annotation/terms.html", context)


@assignment_page("GET", "POST")
def appeal(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    form = AppealForm(request.POST if request.method == "POST" else None)
    project = assignment.item.project
    status = INVALID if form.is_bound else 200
    if form.is_valid():
        try:
            appeals.appeal(assignment, text=form.cleaned_data["text"])
        except Refused as refusal:
            form.add_error("text", str(refusal))
        else:
            messages.success(request, _("Your appeal was sent to the reviewers."))
            return redirect("mine", project.slug)
    piece = my_work.pieces(project, [assignment])[0]
    context = {"project": project, "assignment": assignment, "piece": piece, "form": form}
    return render(request, "annotation/appeal.html", context, status=status)


@project_page("GET", roles=(Role.REVIEWER,))
def waiting_appeals(request: SignedInRequest, project: Project) -> HttpResponse:
    shown = [
        {
            "appeal": each,
            "piece": my_work.pieces(project, [each.assignment])[0],
            "form": AppealAnswerForm(prefix=each.pk),
        }
        for each in appeals.waiting(project, request.user)[:A_PAGE]
    ]
    return render(request, "annotation/appeals.html", {"project": project, "appeals": shown})


@project_page("POST", roles=(Role.REVIEWER,))
def answer_appeal(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    waiting: Appeal = get_object_or_404(appeals.waiting(project, request.user), pk=pk)
    form = AppealAnswerForm(request.POST, prefix=pk)
    try:
        text = form.cleaned_data["text"] if form.is_valid() else ""
        appeals.answer(waiting, reviewer=request.user, grant="grant" in request.POST, text=text)
        messages.success(request, _("The appeal is answered."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("appeals", project.slug)
