"""What every endpoint starts from: whom it is for, who asks, and how a refusal is answered."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from annotation.audiences import Audiences, audience_for
from annotation.models import ApiToken, Assignment, Project, Scope, User
from annotation.refusals import Refused


class Conflict(APIException):
    """The request was understood, but what it asks for can't be done."""

    status_code = status.HTTP_409_CONFLICT


class OneFormat(DefaultContentNegotiation):
    """What is answered has one format, whatever the client says it accepts."""

    def select_renderer(
        self, request: Request, renderers: object, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = list(renderers)[0]  # type: ignore[call-overload]
        return renderer, renderer.media_type


class Endpoint(APIView):
    """For its audience alone; a verb's refusal becomes a 409 with its message.

    A token must be for `scope`; to look, one for reading will do.
    """

    audience: Audiences
    scope = Scope.ADMIN
    content_negotiation_class = OneFormat
    opened: Any = None  # what the audience may open, which the address names

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Before anything of the request is read. A method that there is not is answered as such."""
        super().initial(request, *args, **kwargs)
        if hasattr(self, (request.method or "").lower()):
            if isinstance(request.auth, ApiToken):
                self.check_scope(request.auth)
            opened = audience_for(self.audience, request.method).admit(self.user, dict(kwargs))
            self.opened = opened[0] if opened else None

    def check_scope(self, token: ApiToken) -> None:
        enough = {self.scope, Scope.READ} if self.request.method in SAFE_METHODS else {self.scope}
        if enough.isdisjoint(token.scopes):
            raise PermissionDenied(
                _("This token is for %(found)s; expected one for %(expected)s. Make one under Account → Tokens.")
                % {"found": ", ".join(token.scopes) or "–", "expected": self.scope.value}
            )

    @property
    def project(self) -> Project:
        return cast(Project, self.opened)

    @property
    def assignment(self) -> Assignment:
        return cast(Assignment, self.opened)

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(Conflict(str(exc)) if isinstance(exc, Refused) else exc)


def checked(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's content as the serializer reads it, or a 400 that says what is wrong."""
    content: dict[str, Any] = made_once(serializer).run_validation(request.data)
    return content


@cache
def made_once(serializer: type[Serializer[Any]]) -> Serializer[Any]:
    """One of each, for reading and showing: making its fields takes longer than either, and neither changes it."""
    return serializer()
