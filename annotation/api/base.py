"""What every endpoint starts from: whom it is for, who asks, and how a refusal is answered."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from annotation.audiences import Audiences, audience_for
from annotation.models import Assignment, Project, User
from annotation.refusals import Refused


class Conflict(APIException):
    """The request was understood, but what it asks for can't be done."""

    status_code = status.HTTP_409_CONFLICT


class Endpoint(APIView):
    """For its audience alone; a verb's refusal becomes a 409 with its message."""

    audience: Audiences
    opened: Any = None  # what the audience may open, which the address names

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Before anything of the request is read. A method that there is not is answered as such."""
        super().initial(request, *args, **kwargs)
        if hasattr(self, (request.method or "").lower()):
            opened = audience_for(self.audience, request.method).admit(self.user, dict(kwargs))
            self.opened = opened[0] if opened else None

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
