"""Runs and their curves for scripts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.base import Conflict
from annotation.numbers import row_number
from training import runs
from training.access import RESEARCHERS, ResearchersOf
from training.api import serializers
from training.api.base import Endpoint, One, ProjectList
from training.curves import for_json, metrics, name_of
from training.models import TrainingRun


class Runs(ProjectList):
    queryset = TrainingRun.objects.all()
    serializer_class = serializers.RunSerializer


class OneRun(One):
    audience = ResearchersOf(TrainingRun)
    queryset = TrainingRun.objects.all()
    serializer_class = serializers.RunSerializer


class RunMetrics(Endpoint):
    """The run's curves: a row a logged step."""

    audience = ResearchersOf(TrainingRun)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: int) -> Response:
        return Response({"rows": for_json(metrics(self.opened))})


class Curves(Endpoint):
    """Several runs' curves, to be laid over one another: of the runs named by `run`, a row a logged step."""

    audience = RESEARCHERS

    @extend_schema(
        parameters=[OpenApiParameter("run", int, many=True, required=True, description="A run's number.")],
        responses=serializers.CurvesSerializer,
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = request.query_params.getlist("run")
        if wrong := [number for number in asked if row_number(number) is None]:
            raise ValidationError({"run": f"{wrong[0]!r} is no number of a run."})
        runs = self.project.runs.filter(pk__in=asked).select_related("policy", "rewardmodel").order_by("pk")
        if missing := {int(number) for number in asked} - {run.pk for run in runs}:
            raise NotFound(f"This project has no run {min(missing)}.")
        return Response({"runs": [_curve(run) for run in runs]})


class RunVerb(Endpoint):
    """Cancel or retry a run, as the URL says."""

    audience = ResearchersOf(TrainingRun)
    verb = ""

    @extend_schema(request=None, responses=serializers.RunSerializer)
    def post(self, request: Request, pk: int) -> Response:
        run = self.opened
        try:
            (runs.cancel if self.verb == "cancel" else runs.retry)(run)
        except runs.RunRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        run.refresh_from_db()
        return Response(serializers.RunSerializer(run).data)


def _curve(run: TrainingRun) -> dict[str, Any]:
    return {"id": run.pk, "stage": run.stage, "name": name_of(run), "rows": for_json(metrics(run))}
