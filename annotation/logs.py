"""What a line of the logs says beside its message: which request, run or round it is about. Never a secret.

Whoever begins something says so, and that holds for all that is logged until it is done. LOG_FORMAT=json makes each
line a JSON object.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from urllib.parse import unquote, urlsplit

from django.conf import settings

_ABOUT: ContextVar[Mapping[str, object]] = ContextVar("about", default={})  # noqa: B039 (it is never changed)

HIDDEN = "…"
SECRETS = (
    (re.compile(r"plumb_[\w-]+"), HIDDEN),  # API tokens
    (re.compile(r"(/join/)[^/\s\"']+"), rf"\1{HIDDEN}"),  # invitations
    (re.compile(r"(/reset/key/)[^/\s\"']+"), rf"\1{HIDDEN}"),  # new passwords
    (re.compile(r"(\w://[^:/@\s]*:)[^@\s]+(?=@)"), rf"\1{HIDDEN}"),  # addresses with a password
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (
        re.compile(r"(?i)\b(sessionid|csrftoken|csrfmiddlewaretoken|password\w*|secret_key)(['\"]?\s*[:=]\s*['\"]?)[^\s;,&'\"]+"),
        rf"\1\2{HIDDEN}",
    ),
)  # fmt: skip
SHORTEST_SECRET = 6


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """What is logged within is about these."""
    token = _ABOUT.set({**_ABOUT.get(), **ids})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def begin(**ids: object) -> None:
    """From now on it is about these and nothing else, until this thread begins something else."""
    _ABOUT.set(ids)


def without_secrets(text: str) -> str:
    for secret in _our_own():
        text = text.replace(secret, HIDDEN)
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


@cache
def _our_own() -> tuple[str, ...]:
    """The installation's secrets, as they are and as addresses spell them."""
    broker = urlsplit(settings.CELERY_BROKER_URL).password or ""
    found = {settings.SECRET_KEY, settings.DATABASES["default"].get("PASSWORD") or "", broker, unquote(broker)}
    found |= {*settings.SECRET_KEY_FALLBACKS, *getattr(settings, "ENDPOINT_SECRETS", [])}
    return tuple(secret for secret in found if len(secret) >= SHORTEST_SECRET)


class Line(logging.Formatter):
    """For people: time, level, logger, message, and in brackets what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _ABOUT.get().items())
        return without_secrets(super().format(record) + (f" [{ids}]" if ids else ""))


class JsonLines(logging.Formatter):
    """For machines: one JSON object a line. What a caller gives as `extra={"fields": {…}}` stands in it too."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        cleaned = {name: without_secrets(value) if isinstance(value, str) else value for name, value in said.items()}
        return json.dumps(cleaned, ensure_ascii=False, default=str)
