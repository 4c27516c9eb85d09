"""Who holds what in a project, since when and until when; giving it back to the queue. For its admins."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext

from annotation import assignment as leases
from annotation.models import Assignment, Project, Role
from annotation.numbers import row_numbers
from annotation.views.decorators import SignedInRequest, project_page


@project_page("GET", roles=(Role.ADMIN,))
def held_pieces(request: SignedInRequest, project: Project) -> HttpResponse:
    held = Assignment.objects.held().filter(item__project=project)
    people = [(person, list(pieces)) for person, pieces in groupby(held, key=attrgetter("annotator"))]
    return render(request, "annotation/leases.html", {"project": project, "people": people})


@project_page("POST", roles=(Role.ADMIN,))
def release(request: SignedInRequest, project: Project) -> HttpResponse:
    """One piece, or as many as a button stands for."""
    pieces = row_numbers(request.POST.getlist("piece"))
    count = leases.release(project, pieces, by=request.user)
    said = ngettext("%(count)d piece is free for others.", "%(count)d pieces are free for others.", count)
    messages.success(request, said % {"count": count})
    return redirect("leases", project.slug)
