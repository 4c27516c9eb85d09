"""How often the API answers: a limit for each token and each person, and one for addresses that don't sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from annotation.limits import limits
from annotation.models import ApiToken

if TYPE_CHECKING:
    from rest_framework.views import APIView


class Everyone(BaseThrottle):
    """Each token for itself, so that a script that runs wild does not keep its owner out."""

    def __init__(self) -> None:
        self.seconds = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        who = f"token-{request.auth.pk}" if isinstance(request.auth, ApiToken) else f"person-{request.user.pk}"
        self.seconds = limits.wait(who, most=settings.API_REQUESTS_PER_MINUTE)
        return not self.seconds

    def wait(self) -> float | None:
        return self.seconds or None


def answered(error: Exception, context: dict[str, Any]) -> Response | None:
    """What is answered to an error: whoever goes on without signing in is told to wait."""
    from rest_framework.views import exception_handler  # which imports this module as it starts

    if isinstance(error, (NotAuthenticated, AuthenticationFailed)):
        address = get_adapter().get_client_ip(context["request"])
        if seconds := limits.wait(f"address-{address}", most=settings.API_STRANGERS_PER_MINUTE):
            error = Throttled(wait=seconds)
    return exception_handler(error, context)
