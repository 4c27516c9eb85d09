"""What a researcher's view starts with: the row that its address names, in a project that the person researches in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from annotation.models import Project
from annotation.views.decorators import Page, SignedInRequest, page
from training.access import RESEARCHERS, Kind, ResearchersOf
from training.models import Round

P = ParamSpec("P")


def researchers_page(*methods: str) -> Callable[..., Page]:
    """A page of a project. Its fragments share its address, so nothing of it is kept in the browser's cache."""

    def decorate(view: Callable[Concatenate[SignedInRequest, Project, P], HttpResponseBase]) -> Page:
        return never_cache(page(*methods, audience=RESEARCHERS)(view))

    return decorate


def round_page(*methods: str) -> Callable[..., Page]:
    """The same; the view is called with the project's Round instead of its number."""

    def decorate(view: Callable[[SignedInRequest, Round], HttpResponseBase]) -> Page:
        @wraps(view)
        def with_round(request: SignedInRequest, project: Project, number: int) -> HttpResponseBase:
            rounds = Round.objects.select_related("project", "base", "dataset", "policy", "reward_model", "created_by")
            return view(request, get_object_or_404(rounds, project=project, number=number))

        return researchers_page(*methods)(with_round)

    return decorate


def row_page(kind: Kind, *methods: str) -> Callable[..., Page]:
    """A page of one run, model or dataset; the view is called with it."""

    def decorate(view: Page) -> Page:
        return never_cache(page(*methods, audience=ResearchersOf(kind))(view))

    return decorate
