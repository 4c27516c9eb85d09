"""How annotators are measured: the sets that researchers answer, the bar, and the shares of gold and repeats."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import managing
from annotation import screening as verbs
from annotation.forms import ScreeningForm
from annotation.models import Item, Project, Purpose, Role
from annotation.numbers import row_numbers
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, project_page

CANDIDATES_SHOWN = 20


@project_page("GET", "POST", roles=(Role.RESEARCHER,))
def screening(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ScreeningForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid():
        managing.change(project, by=request.user, settings=form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("screening", project.slug)
    sets = list(verbs.sets(project))
    to_qualify = [item for item in sets if item.purpose == Purpose.QUALIFICATION and item.answered]  # type: ignore[attr-defined]
    context = {
        "project": project,
        "form": form,
        "sets": sets,
        "missing": max(0, project.qualification_pieces - len(to_qualify)),
        "candidates": verbs.candidates(project)[:CANDIDATES_SHOWN],
        "purposes": [purpose for purpose in Purpose if purpose],
    }
    return render(request, "annotation/screening.html", context, status=INVALID if form.is_bound else 200)


@project_page("POST", roles=(Role.RESEARCHER,))
def choose(request: SignedInRequest, project: Project) -> HttpResponse:
    purpose = request.POST.get("purpose")
    if purpose not in (Purpose.QUALIFICATION, Purpose.GOLD):
        purpose = Purpose.QUALIFICATION
    asked = row_numbers(request.POST.getlist("item"))
    count = verbs.choose(project, asked, purpose=Purpose(purpose), by=request.user)
    if count:
        said = ngettext("%d set is yours to answer.", "%d sets are yours to answer.", count)
        messages.success(request, said % count)
    else:
        messages.error(request, _("Choose sets that nobody has begun."))
    return redirect("screening", project.slug)


@project_page("POST", roles=(Role.RESEARCHER,))
def answer(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    try:
        return redirect("assignment", verbs.answer(_set(project, pk), request.user).pk)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("screening", project.slug)


@project_page("POST", roles=(Role.RESEARCHER,))
def give_up(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    verbs.give_up(_set(project, pk), by=request.user)
    messages.success(request, _("The set is an ordinary one again."))
    return redirect("screening", project.slug)


def _set(project: Project, pk: int) -> Item:
    return get_object_or_404(verbs.sets(project), pk=pk)
