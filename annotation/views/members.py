"""Who is in a project, as what, on which terms, and what they are owed. For its admins."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation import erasing, membership, my_work, screening
from annotation.forms import LimitsForm, MemberForm, RateForm, RoleForm
from annotation.models import Membership, Project, Role, User
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, project_page


@project_page("GET", "POST", roles=(Role.ADMIN,))
def members(request: SignedInRequest, project: Project) -> HttpResponse:
    form = MemberForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        added(request, project, form.cleaned_data["username"], Role(form.cleaned_data["role"]))
        return redirect("members", project.slug)
    context = {
        "project": project,
        "form": form,
        "people": people(project),
        "standings": screening.of_annotators(project),
        "left": erasing.people_who_left(project),
    }
    return render(request, "annotation/members.html", context, status=INVALID if form.is_bound else 200)


@project_page("GET", "POST", roles=(Role.ADMIN,))
def member(request: SignedInRequest, project: Project, username: str) -> HttpResponse:
    """One person: their roles, what they are given as an annotator, and their pay. Also of those who have left."""
    person = get_object_or_404(erasing.people(project), username=username)
    roles = list(project.memberships.filter(user=person).order_by("role"))
    annotator = next((each for each in roles if each.role == Role.ANNOTATOR), None)
    sent = {request.POST.get("form"): request.POST} if request.method == "POST" else {}
    role = RoleForm(sent.get("role"), held={each.role for each in roles})
    limits = LimitsForm(annotator, sent.get("limits")) if annotator else None
    rate = RateForm(sent.get("rate"))
    try:
        if role.is_valid():
            added(request, project, person, Role(role.cleaned_data["role"]))
            return redirect("member", project.slug, username)
        if annotator and limits and limits.is_valid():
            membership.limit(annotator, by=request.user, **limits.cleaned_data)
            messages.success(request, _("Saved."))
            return redirect("member", project.slug, username)
        if rate.is_valid():
            membership.pay(project, person, by=request.user, **rate.cleaned_data)
            messages.success(request, _("Saved."))
            return redirect("member", project.slug, username)
    except Refused as refusal:
        messages.error(request, str(refusal))
    context = {
        "project": project, "person": person, "roles": roles, "role_form": role, "limits_form": limits,
        "rate_form": rate, "rates": project.pay_rates.filter(user=person).order_by("-since"),
    }  # fmt: skip
    return render(request, "annotation/member.html", context, status=INVALID if sent else 200)


@project_page("POST", roles=(Role.ADMIN,))
def remove(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    """Takes one role away."""
    member = get_object_or_404(Membership.objects.select_related("user", "project"), pk=pk, project=project)
    try:
        membership.remove(member, by=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        said = _("%(person)s is no longer %(role)s.")
        messages.success(request, said % {"person": member.user, "role": member.get_role_display()})
    return redirect("members", project.slug)


@project_page("GET", roles=(Role.ADMIN,))
def timesheets(request: SignedInRequest, project: Project) -> HttpResponse:
    """Everybody's days of work, with what they are owed for each."""
    response = HttpResponse(my_work.as_csv(project), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-timesheets.csv"'
    return response


def added(request: SignedInRequest, project: Project, person: User, role: Role) -> None:
    is_new = membership.add(project, person, role, by=request.user)
    said = _("%(person)s is now %(role)s.") if is_new else _("%(person)s was %(role)s already.")
    messages.success(request, said % {"person": person, "role": role.label})


def people(project: Project) -> list[dict[str, Any]]:
    """One entry a person, with their roles and what is special about their work."""
    roles: dict[User, list[Membership]] = defaultdict(list)
    for each in project.memberships.select_related("user").order_by("user__username", "role"):
        roles[each.user].append(each)
    rates = {rate.user_id: rate for rate in project.pay_rates.order_by("since")}
    return [
        {
            "person": person,
            "roles": held,
            "annotator": next((each for each in held if each.role == Role.ANNOTATOR), None),
            "rate": rates.get(person.pk),
        }
        for person, held in roles.items()
    ]
