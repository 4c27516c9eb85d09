"""What a view starts with: signed in, the right method, and the project or assignment that the person may open."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.models import Assignment, Project, Role, User

INVALID = 422  # the status of a page whose form was refused

P = ParamSpec("P")
Page = Callable[..., HttpResponseBase]


class SignedInRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


def page(*methods: str) -> Callable[[Page], Page]:
    """For people who are signed in, with the methods named (HEAD comes with GET)."""
    allowed = [*methods, *(["HEAD"] if "GET" in methods else [])]

    def decorate(view: Page) -> Page:
        return require_http_methods(allowed)(login_required(view))

    return decorate


def project_page(*methods: str, roles: tuple[Role, ...] = ()) -> Callable[..., Page]:
    """The same for a project's page: the view is called with the Project instead of its slug."""

    def decorate(view: Callable[Concatenate[SignedInRequest, Project, P], HttpResponseBase]) -> Page:
        @wraps(view)
        def with_project(request: SignedInRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            return view(request, access.project_for(request.user, slug, *roles), *args, **kwargs)

        return page(*methods)(with_project)

    return decorate


def assignment_page(*methods: str) -> Callable[..., Page]:
    """The same for an assignment's page: the view is called with the Assignment, which is the person's own."""

    def decorate(view: Callable[[SignedInRequest, Assignment], HttpResponseBase]) -> Page:
        @wraps(view)
        def with_assignment(request: SignedInRequest, pk: int) -> HttpResponseBase:
            return view(request, access.assignment_for(request.user, pk))

        return page(*methods)(with_assignment)

    return decorate
