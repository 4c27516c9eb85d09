"""What a person chose for themselves: their keys, and whether possibly harmful pieces may come to them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation import shortcuts
from annotation.models import Project, Role
from annotation.refusals import Refused
from annotation.views.decorators import SignedInRequest, page, project_page


@page("POST")
def keys(request: SignedInRequest) -> JsonResponse:
    """Answers with the keys in force, and with the reason where those sent were refused."""
    refused = {}
    try:
        shortcuts.keep(request.user, request.POST.dict())
    except Refused as refusal:
        refused = {"refused": str(refusal)}
    return JsonResponse(shortcuts.of(request.user) | refused)


@project_page("POST", roles=(Role.ANNOTATOR,))
def harmful(request: SignedInRequest, project: Project) -> HttpResponse:
    agreed = request.POST.get("agree") == "yes"
    project.memberships.filter(user=request.user, role=Role.ANNOTATOR).update(sees_harmful=agreed)
    said = _("Possibly harmful pieces may come to you now.") if agreed else _("No possibly harmful piece comes to you.")
    messages.success(request, said)
    return redirect("work", project.slug)
