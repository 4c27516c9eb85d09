"""What every endpoint starts from: who asks, and how a refusal is answered."""

from __future__ import annotations

from typing import Any, cast

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from annotation.models import User
from annotation.refusals import Refused


class Conflict(APIException):
    """The request was understood, but what it asks for can't be done."""

    status_code = status.HTTP_409_CONFLICT


class Endpoint(APIView):
    """Authenticated; a verb's refusal becomes a 409 with its message."""

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(Conflict(str(exc)) if isinstance(exc, Refused) else exc)


def checked(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's content as the serializer reads it, or a 400 that says what is wrong."""
    reader = serializer(data=request.data)
    reader.is_valid(raise_exception=True)
    content: dict[str, Any] = reader.validated_data
    return content
