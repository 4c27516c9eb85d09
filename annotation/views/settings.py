"""A project's settings, guidelines and terms, for its admins."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import access, managing
from annotation.forms import SettingsForm, VersionForm
from annotation.models import Guidelines, Project, Role, Terms
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, project_page


@project_page("GET", "POST", roles=(Role.ADMIN,))
def settings(request: SignedInRequest, project: Project) -> HttpResponse:
    form = SettingsForm(project, request.POST if request.method == "POST" else None)
    try:
        if form.is_valid():
            changed = managing.change(project, by=request.user, settings=form.cleaned_data)
            said = ngettext("%d setting was changed.", "%d settings were changed.", len(changed)) % len(changed)
            messages.success(request, said if changed else _("Nothing was changed."))
            return redirect("settings", project.slug)
    except Refused as refusal:
        form.add_error(None, str(refusal))
    context = {"project": project, "form": form, "may_copy": access.may_create_projects(request.user)}
    return render(request, "annotation/settings.html", context, status=INVALID if form.is_bound else 200)


@project_page("GET", "POST", roles=(Role.ADMIN,))
def guidelines(request: SignedInRequest, project: Project) -> HttpResponse:
    return versions(request, project, Guidelines, "settings-guidelines")


@project_page("GET", "POST", roles=(Role.ADMIN,))
def terms(request: SignedInRequest, project: Project) -> HttpResponse:
    return versions(request, project, Terms, "settings-terms")


def versions(request: SignedInRequest, project: Project, kind: type[Guidelines | Terms], address: str) -> HttpResponse:
    """All versions of a text, the one looked at, and a form for the next, which starts from the one in force."""
    every = list(kind._default_manager.filter(project=project).order_by("-version").select_related("created_by"))
    current = every[0] if every else None
    initial = {"text": current.text if current else ""}
    form = VersionForm(request.POST if request.method == "POST" else None, initial=initial)
    previewed = "preview" in request.POST
    try:
        if form.is_valid() and not previewed:
            made = managing.publish(kind, project, by=request.user, text=form.cleaned_data["text"])
            messages.success(request, _("Version %d is in force.") % made.version)
            return redirect(address, project.slug)
    except Refused as refusal:
        form.add_error("text", str(refusal))
    asked = request.GET.get("version", "")
    context: dict[str, Any] = {
        "project": project,
        "form": form,
        "versions": every,
        "current": current,
        "shown": next((each for each in every if str(each.version) == asked), None),
        "preview": form["text"].value() if previewed else "",
        "is_terms": kind is Terms,
    }
    status = 200 if previewed or not form.is_bound else INVALID
    return render(request, "annotation/versions.html", context, status=status)
