"""Outputs held out of ranking because they say who wrote them; an admin may allow them all the same."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation.adding import allow
from annotation.models import Completion, Project, Role
from annotation.views.decorators import SignedInRequest, project_page

PAGE = 50


@project_page("GET", roles=(Role.ADMIN,))
def held(request: SignedInRequest, project: Project) -> HttpResponse:
    waiting = Completion.objects.held().filter(prompt__project=project).select_related("prompt", "generator")
    page = Paginator(waiting.order_by("pk"), PAGE).get_page(request.GET.get("page"))
    outputs = [(output, output.text.partition(output.giveaway)) for output in page]
    return render(request, "annotation/held.html", {"project": project, "page": page, "outputs": outputs})


@project_page("POST", roles=(Role.ADMIN,))
def allow_output(request: SignedInRequest, project: Project, pk: int) -> HttpResponse:
    allow(get_object_or_404(Completion, pk=pk, prompt__project=project), by=request.user)
    messages.success(request, _("Allowed. It will be ranked like any other."))
    return redirect("held", project.slug)
