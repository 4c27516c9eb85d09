"""Where people land: their projects and what waits for them, and each project's board."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from annotation import access, appeals
from annotation.audiences import Anyone
from annotation.models import Project, Role, User
from annotation.progress import progress
from annotation.views.charts import CHARTS_FOR
from annotation.views.decorators import SignedInRequest, page, project_page
from annotation.views.waiting import held_by, waiting

YEAR = 365 * 24 * 3600


@page("GET")
def home(request: SignedInRequest) -> HttpResponse:
    visible = Project.objects.visible_to(request.user)
    has_more = access.may_create_projects(request.user) or visible.exclude(archived_at=None).exists()
    entries = [entry(request.user, project) for project in visible.active()]
    return render(request, "annotation/home.html", {"projects": entries, "has_more": has_more})


def entry(person: User, project: Project) -> dict[str, Any]:
    """One project on the page where people land: their roles in it, what they have in hand, what waits."""
    roles = access.roles_of(person, project)
    return {
        "project": project,
        "roles": [role.label for role in Role if role in roles],
        "may_annotate": Role.ANNOTATOR in roles,
        "held": held_by(person, project),
        "waiting": waiting(progress(project)),
    }


@project_page("GET")
def project(request: SignedInRequest, project: Project) -> HttpResponse:
    """How far the project is, for every member; what one may do here is in the tabs."""
    counted = progress(project)
    roles = access.roles_of(request.user, project)
    may_review = Role.REVIEWER in roles
    context = {
        "project": project,
        "progress": counted,
        "waiting": waiting(counted),
        "may_annotate": Role.ANNOTATOR in roles,
        "may_administer": Role.ADMIN in roles,
        "may_research": Role.RESEARCHER in roles,
        "sees_charts": not roles.isdisjoint(CHARTS_FOR),
        "guidelines": project.current_guidelines(),
        "appeals": appeals.waiting(project, request.user).count() if may_review else 0,
    }
    return render(request, "annotation/project.html", context)


@page("POST", audience=Anyone())
def theme(request: HttpRequest) -> HttpResponse:
    """The colour scheme, kept in a cookie so that the first paint is already right. Works without JavaScript."""
    response = HttpResponseRedirect(local_path(request, request.POST.get("next", "/")))
    if (chosen := request.POST.get("theme")) in ("light", "dark"):
        response.set_cookie("theme", chosen, max_age=YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    else:
        response.delete_cookie("theme")
    return response


def local_path(request: HttpRequest, path: str) -> str:
    is_ours = url_has_allowed_host_and_scheme(path, {request.get_host()}, request.is_secure())
    return path if is_ours and path.startswith("/") else "/"
