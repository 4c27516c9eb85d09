"""Links that let people in: an admin makes and revokes them, whoever has one follows it."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from annotation import membership
from annotation.accounts import INVITATION
from annotation.audiences import Anyone
from annotation.forms import InvitationForm
from annotation.models import Invitation, Project, Role, User
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, page, project_page


@never_cache
@project_page("GET", "POST", roles=(Role.ADMIN,))
def invitations(request: SignedInRequest, project: Project) -> HttpResponse:
    form = InvitationForm(project, request.POST if request.method == "POST" else None)
    link = ""
    if form.is_valid():
        sent = form.cleaned_data
        _invitation, secret = membership.invite(
            project, by=request.user, name=sent["name"], roles=sent["roles"], languages=sent["languages"],
            max_uses=sent["max_uses"], lifetime=timedelta(days=sent["days"]),
        )  # fmt: skip
        link = request.build_absolute_uri(reverse("join", args=[secret]))
        form = InvitationForm(project)
    context = {"project": project, "form": form, "link": link, "invitations": project.invitations.all()}
    return render(request, "annotation/invitations.html", context, status=INVALID if form.is_bound else 200)


@project_page("POST", roles=(Role.ADMIN,))
def revoke(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    invitation = get_object_or_404(project.invitations, pk=pk)
    membership.revoke(invitation, by=request.user)
    messages.success(request, _("The invitation “%s” lets nobody in any more.") % invitation.name)
    return redirect("invitations", project.slug)


@never_cache
@page("GET", "POST", audience=Anyone())
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """What one is invited to. Who has signed in joins at once; others sign in or make an account first."""
    invitation = Invitation.objects.matching(secret)
    if invitation is None:
        return render(request, "annotation/join.html", status=404)
    if request.method == "POST" and isinstance(request.user, User):
        return joined(request, invitation, request.user)
    if request.method == "POST":
        request.session[INVITATION] = invitation.pk
        return redirect("account_signup")
    roles = [Role(role).label for role in invitation.roles]
    context = {"invitation": invitation, "project": invitation.project, "roles": roles, "path": request.path}
    return render(request, "annotation/join.html", context)


def joined(request: HttpRequest, invitation: Invitation, person: User) -> HttpResponse:
    try:
        membership.join(invitation, person)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("home")
    messages.success(request, _("Welcome to “%s”.") % invitation.project)
    return redirect("project", invitation.project.slug)
