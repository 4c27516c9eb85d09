"""All of a person's projects; one is created, copied, archived and taken out of the archive."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation import access, managing
from annotation.audiences import CreatingMembers, Creators, SignedIn
from annotation.forms import CopyForm, NewProjectForm
from annotation.models import Project, Role
from annotation.views.decorators import INVALID, SignedInRequest, page, project_page


@page("GET", "POST", audience={"GET": SignedIn(), "POST": Creators()})
def projects(request: SignedInRequest) -> HttpResponse:
    """With the archived ones. A new one is made here."""
    may_create = access.may_create_projects(request.user)
    form = NewProjectForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        made = managing.create(by=request.user, **form.cleaned_data)
        messages.success(request, _("“%s” is there. Look through its settings, then invite people.") % made)
        return redirect("settings", made.slug)
    context = {
        "form": form,
        "may_create": may_create,
        "projects": Project.objects.visible_to(request.user).order_by("name"),
    }
    return render(request, "annotation/projects.html", context, status=INVALID if form.is_bound else 200)


@page("GET", "POST", audience=CreatingMembers(Role.ADMIN))
def copy(request: SignedInRequest, project: Project) -> HttpResponse:
    form = CopyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        made = managing.copy(project, by=request.user, **form.cleaned_data)
        messages.success(request, _("“%s” is there. Look through its settings, then invite people.") % made)
        return redirect("settings", made.slug)
    context = {"project": project, "form": form}
    return render(request, "annotation/copy.html", context, status=INVALID if form.is_bound else 200)


@project_page("POST", roles=(Role.ADMIN,))
def archive(request: SignedInRequest, project: Project) -> HttpResponse:
    managing.archive(project, by=request.user)
    messages.success(request, _("Archived. Nothing is handed out any more; all that was collected is still here."))
    return redirect("project", project.slug)


@project_page("POST", roles=(Role.ADMIN,))
def reopen(request: SignedInRequest, project: Project) -> HttpResponse:
    managing.reopen(project, by=request.user)
    messages.success(request, _("Out of the archive. Work is handed out again."))
    return redirect("project", project.slug)
