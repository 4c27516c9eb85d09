"""What a view starts with: the right method, whom it is for, and the project or assignment that they may open."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_http_methods

from annotation.audiences import Audience, Audiences, Members, OwnAssignment, SignedIn, audience_for
from annotation.models import Role, User

INVALID = 422  # the status of a page whose form was refused

Page = Callable[..., HttpResponseBase]


class SignedInRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


def page(*methods: str, audience: Audiences = SignedIn()) -> Callable[[Page], Page]:  # noqa: B008 (it has no state)
    """For the audience, with the methods named (HEAD comes with GET). The view is called with what they may open."""
    allowed = [*methods, *(["HEAD"] if "GET" in methods else [])]

    def decorate(view: Page) -> Page:
        @wraps(view)
        def admitted(request: SignedInRequest, **named: Any) -> HttpResponseBase:
            _ = request.POST  # a form that can't be read is refused before anything is done
            opened = audience_for(audience, request.method).admit(request.user, named)
            return view(request, *opened, **named)

        is_open = isinstance(audience, Audience) and not audience.signs_in
        decorated: Any = require_http_methods(allowed)(admitted if is_open else login_required(admitted))
        decorated.audience, decorated.methods = audience, methods
        return decorated  # type: ignore[no-any-return]

    return decorate


def project_page(*methods: str, roles: tuple[Role, ...] = ()) -> Callable[[Page], Page]:
    """For a project's members with one of the roles: the view is called with the Project instead of its slug."""
    return page(*methods, audience=Members(*roles))


def assignment_page(*methods: str) -> Callable[[Page], Page]:
    """The view is called with the Assignment, which is the person's own."""
    return page(*methods, audience=OwnAssignment())
