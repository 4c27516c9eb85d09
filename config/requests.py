"""What is kept of every request: a name by which its log lines are found again, how long it took, and its line."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from annotation.logs import begin
from annotation.models import User
from config.metrics import REQUESTS, SECONDS

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # or strangers would make up what is counted
GIVEN = re.compile(r"[\w.-]{1,64}")
Answer = Callable[[HttpRequest], HttpResponseBase]


def watched(answer: Answer) -> Answer:
    """Middleware, the first. The route stands for the address, which may hold a secret or somebody's name."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        name = name_of(request)
        started = time.perf_counter()
        begin(request=name)  # also for what Django logs when the middleware is through
        response = answer(request)
        seconds = time.perf_counter() - started
        route = request.resolver_match.route if request.resolver_match else "(none)"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, route, response.status_code).inc()
        SECONDS.labels(method, route).observe(seconds)
        if settings.LOG_REQUESTS:
            fields = {
                "method": method, "route": route, "status": response.status_code,
                "ms": round(1000 * seconds, 1), "person": person_of(request),
            }  # fmt: skip
            log.info("%s /%s %s", method, route, response.status_code, extra={"fields": fields})
        response["X-Request-ID"] = name
        return response

    return middleware


def name_of(request: HttpRequest) -> str:
    """The proxy's, where there is one that may be trusted, else one of our own."""
    given = request.headers.get("X-Request-ID", "")
    return given if settings.BEHIND_PROXY and GIVEN.fullmatch(given) else secrets.token_hex(8)


def person_of(request: HttpRequest) -> int | None:
    """Their number, where the view has asked who it is: nobody is looked up for a line in the log."""
    known = (request.__dict__.get("_cached_user"), request.__dict__.get("user"))  # by a session, by a token
    return next((int(person.pk) for person in known if issubclass(type(person), User) and person), None)
