"""Every address of the configuration, with whom its view is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from annotation.audiences import Audience, declared_by


@dataclass(frozen=True)
class Address:
    """`audiences` are by method, and empty where the view does not say. Of others' views there is one, under ""."""

    route: str
    name: str
    audiences: Mapping[str, Audience]
    is_ours: bool


def addresses() -> list[Address]:
    theirs: dict[str, Audience] = getattr(import_module(settings.ROOT_URLCONF), "AUDIENCES", {})
    return [_address(route, pattern, theirs) for route, pattern in _walk(get_resolver().url_patterns)]


def _address(route: str, pattern: URLPattern, theirs: dict[str, Audience]) -> Address:
    name = str(pattern.name or "")
    if declared := declared_by(pattern.callback):
        return Address(route, name, declared, is_ours=True)
    if _is_ours(pattern.callback):
        return Address(route, name, {}, is_ours=True)
    said = [audience for beginning, audience in theirs.items() if route.startswith(beginning)]
    return Address(route, name, {"": said[0]} if said else {}, is_ours=False)


def _is_ours(view: Any) -> bool:
    module: str = getattr(view, "cls", getattr(view, "view_class", view)).__module__
    return module.partition(".")[0] in ("annotation", "config", "training")


def _walk(found: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in found:
        route = before + str(each.pattern)
        if isinstance(each, URLPattern):
            yield route, each
        else:
            yield from _walk(each.url_patterns, route)
