"""Who is in a project, and as what. For its admins."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation import audit, erasing, screening
from annotation.forms import MemberForm
from annotation.models import Membership, Project, Role
from annotation.views.decorators import SignedInRequest, project_page


@project_page("GET", "POST", roles=(Role.ADMIN,))
def members(request: SignedInRequest, project: Project) -> HttpResponse:
    form = MemberForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with transaction.atomic():
            member, created = Membership.objects.get_or_create(
                project=project, user=form.cleaned_data["username"], role=form.cleaned_data["role"]
            )
            if created:
                record(audit.Action.MEMBER_ADDED, request, member)
        said = _("%(person)s is now %(role)s.") if created else _("%(person)s was %(role)s already.")
        messages.success(request, said % {"person": member.user, "role": member.get_role_display()})
        return redirect("members", project.slug)
    memberships = project.memberships.select_related("user").order_by("user__username", "role")
    context = {
        "project": project,
        "form": form,
        "memberships": memberships,
        "standings": screening.of_annotators(project),
        "left": erasing.people_who_left(project),
    }
    return render(request, "annotation/members.html", context)


@project_page("POST", roles=(Role.ADMIN,))
def remove(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    """Takes one role away. The last admin stays, or nobody could let anyone in again."""
    member = get_object_or_404(Membership, pk=pk, project=project)
    admins = project.memberships.filter(role=Role.ADMIN)
    if member.role == Role.ADMIN and not admins.exclude(pk=member.pk).exists():
        messages.error(request, _("%s is the only admin left. Add another one first.") % member.user)
    else:
        with transaction.atomic():
            record(audit.Action.MEMBER_REMOVED, request, member)
            member.delete()
        said = _("%(person)s is no longer %(role)s.")
        messages.success(request, said % {"person": member.user, "role": member.get_role_display()})
    return redirect("members", project.slug)


def record(action: audit.Action, request: SignedInRequest, member: Membership) -> None:
    audit.record(action, actor=request.user, project=member.project, person=member.user_id, role=member.role)
