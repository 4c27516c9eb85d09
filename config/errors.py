"""What is answered where no view answers: pages to people, JSON to scripts."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import defaults

API = "/api/"


def refuse_too_much(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware: before any of it is read. Files go to the disk as they come, all else is held in memory."""

    def answered(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        of_files = (request.content_type or "").startswith("multipart/") and _may_bring_files(request)
        most = settings.MAX_UPLOAD_SIZE if of_files else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and len(length) < 19 and int(length) <= most:
            return get_response(request)
        if request.path.startswith(API):
            told = _("At most %(most)d MB are read at once.") % {"most": most // 2**20}
            return JsonResponse({"detail": told}, status=413)
        return render(request, "413.html", {"most": most // 2**20}, status=413)

    return answered


def _may_bring_files(request: HttpRequest) -> bool:
    """No stranger, as to look for its token a form is read. The API reads nothing of those who have not signed in."""
    return request.path.startswith(API) or SESSION_KEY in request.session


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return JsonResponse({"detail": _("The request can't be understood.")}, status=400)
    return render(request, "400.html", status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return JsonResponse({"detail": _("There is nothing here")}, status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API):
        return JsonResponse({"detail": _("Something broke")}, status=500)
    return defaults.server_error(request)
