"""What the endpoints of rounds, runs, models and datasets share: they are for a project's researchers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import generics

from annotation.api.base import Endpoint as BaseEndpoint
from annotation.models import Scope
from training.access import RESEARCHERS


class Endpoint(BaseEndpoint):
    scope = Scope.TRAIN


class ProjectList(Endpoint, generics.ListAPIView[Any]):
    """A project's rows of one kind, newest first."""

    audience = RESEARCHERS
    queryset: QuerySet[Any]

    def get_queryset(self) -> QuerySet[Any]:
        return self.queryset.filter(project=self.project)


class One(Endpoint, generics.RetrieveAPIView[Any]):
    """One row by its number."""

    queryset: QuerySet[Any]

    def get_object(self) -> Any:
        return self.opened
