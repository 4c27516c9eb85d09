"""Pages that keep themselves up to date: every two seconds a fragment; the whole page where what one may do changes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRefresh


def live(request: HttpRequest, template: str, context: dict[str, Any], *, phase: str) -> HttpResponse:
    """The template, or its partial `live` for htmx. `phase` names everything that lies outside of the partial."""
    context |= {"phase": phase}
    if not request.headers.get("HX-Request"):
        return render(request, template, context)
    if request.GET.get("phase") != phase:
        return HttpResponseClientRefresh()
    return render(request, f"{template}#live", context)
