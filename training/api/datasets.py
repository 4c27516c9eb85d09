"""Datasets for scripts: freezing, and what sets two apart."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.base import Conflict, checked
from annotation.api.schema import CONFLICTS
from training import datasets, tracing
from training.access import RESEARCHERS, ResearchersOf
from training.api import serializers
from training.api.base import Endpoint, One, ProjectList
from training.dataset_rows import KINDS
from training.differences import compare
from training.models import Dataset


class Datasets(ProjectList):
    queryset = Dataset.objects.all()
    serializer_class = serializers.DatasetSerializer

    @extend_schema(request=serializers.FreezeSerializer, responses={201: serializers.DatasetSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Freeze what the project holds now."""
        project = self.project
        filters = checked(serializers.FreezeSerializer, request)
        options = {name: filters.pop(name) for name in ("prompts_per_author", "without_gates") if name in filters}
        try:
            dataset = datasets.freeze(project, user=self.user, filters=filters, **options)
        except datasets.DatasetError as error:
            raise Conflict(str(error)) from error
        return Response(serializers.DatasetSerializer(dataset).data, status=status.HTTP_201_CREATED)


class OneDataset(One):
    audience = ResearchersOf(Dataset)
    queryset = Dataset.objects.all()
    serializer_class = serializers.DatasetSerializer


class DatasetDifference(Endpoint):
    audience = ResearchersOf(Dataset)

    @extend_schema(responses={200: serializers.DifferenceSerializer, **CONFLICTS})
    def get(self, request: Request, pk: int, other: int) -> Response:
        """What sets the dataset `other` apart from this one of the same project: rows, and how it was made."""
        before = self.opened
        after = get_object_or_404(Dataset, pk=other, project=before.project)
        try:
            return Response(serializers.DifferenceSerializer(compare(before, after)).data)
        except datasets.DatasetError as error:
            raise Conflict(str(error)) from error


class Lineage(Endpoint):
    audience = RESEARCHERS

    @extend_schema(responses={200: serializers.TraceSerializer})
    def get(self, request: Request, slug: str, kind: str, number: int) -> Response:
        """Which datasets hold a record (`kind`: prompts, demonstrations, rankings), and which models learnt from it."""
        if kind not in set(KINDS.values()):
            raise Http404(f"{kind} is no kind of record; expected prompts, demonstrations or rankings.")
        get_object_or_404(tracing.records(self.project, kind), pk=number)
        return Response(serializers.TraceSerializer(tracing.trace(self.project, kind, number)).data)
