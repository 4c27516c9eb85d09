"""Rounds, runs, models and datasets for scripts: the verbs that the pages call, for a project's researchers."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from annotation.models import Project, User
from training import archives, datasets, registry, rounds, runs
from training.access import researched, researched_project
from training.api import serializers
from training.curves import metrics
from training.differences import compare
from training.models import Dataset, Policy, RewardModel, Round, TrainingRun


class Conflict(APIException):
    """Understood, but the state of things does not allow it."""

    status_code = status.HTTP_409_CONFLICT


class ProjectList(generics.ListAPIView[Any]):
    """A project's rows of one kind, newest first."""

    queryset: QuerySet[Any]

    def get_queryset(self) -> QuerySet[Any]:
        return self.queryset.filter(project=self.project())

    def project(self) -> Project:
        return researched_project(_user(self.request), self.kwargs["slug"])


class One(generics.RetrieveAPIView[Any]):
    """One row by its number."""

    queryset: QuerySet[Any]

    def get_object(self) -> Any:
        return researched(self.queryset.model, _user(self.request), self.kwargs["pk"])


class Rounds(ProjectList):
    queryset = Round.objects.prefetch_related("runs")
    serializer_class = serializers.RoundSerializer

    @extend_schema(request=serializers.StartSerializer, responses={201: serializers.RoundSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Start a round. 409 while another runs."""
        project = self.project()
        options = _checked(serializers.StartSerializer(data=request.data))
        try:
            started = rounds.start(project, user=_user(request), options=options)
        except rounds.RoundRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.RoundSerializer(started).data, status=status.HTTP_201_CREATED)


class OneRound(One):
    queryset = Round.objects.all()
    serializer_class = serializers.RoundSerializer


class RoundVerb(APIView):
    """Cancel, publish or retry a round, as the URL says."""

    verb = ""

    @extend_schema(request=None, responses=serializers.RoundSerializer)
    def post(self, request: Request, pk: int) -> Response:
        round = researched(Round, _user(request), pk)
        try:
            match self.verb:
                case "cancel":
                    rounds.cancel(round, user=_user(request))
                case "publish":
                    rounds.publish(round, user=_user(request))
                case "retry":
                    rounds.retry(round, user=_user(request))
        except (rounds.RoundRefused, runs.RunRefused) as refusal:
            raise Conflict(str(refusal)) from refusal
        round.refresh_from_db()
        return Response(serializers.RoundSerializer(round).data)


class Runs(ProjectList):
    queryset = TrainingRun.objects.all()
    serializer_class = serializers.RunSerializer


class OneRun(One):
    queryset = TrainingRun.objects.all()
    serializer_class = serializers.RunSerializer


class RunMetrics(APIView):
    """The run's curves: a row a logged step."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: int) -> Response:
        return Response({"rows": metrics(researched(TrainingRun, _user(request), pk))})


class RunVerb(APIView):
    """Cancel or retry a run, as the URL says."""

    verb = ""

    @extend_schema(request=None, responses=serializers.RunSerializer)
    def post(self, request: Request, pk: int) -> Response:
        run = researched(TrainingRun, _user(request), pk)
        try:
            (runs.cancel if self.verb == "cancel" else runs.retry)(run)
        except runs.RunRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        run.refresh_from_db()
        return Response(serializers.RunSerializer(run).data)


class Policies(ProjectList):
    queryset = Policy.objects.all()
    serializer_class = serializers.PolicySerializer

    @extend_schema(request=serializers.ImportSerializer, responses={201: serializers.PolicySerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Bring a model in by its folder on the server or its name on the hub."""
        project = self.project()
        given = _checked(serializers.ImportSerializer(data=request.data))
        try:
            policy = registry.import_policy(project, source=given["source"], name=given["name"], user=_user(request))
        except registry.ModelError as error:
            raise ValidationError({"source": str(error)}) from error
        return Response(serializers.PolicySerializer(policy).data, status=status.HTTP_201_CREATED)


class OnePolicy(One):
    queryset = Policy.objects.all()
    serializer_class = serializers.PolicySerializer


class PutBack(APIView):
    """Go back to a policy that was published before. 409 where it never was, or answers now."""

    @extend_schema(request=None, responses=serializers.PolicySerializer)
    def post(self, request: Request, pk: int) -> Response:
        policy = researched(Policy, _user(request), pk)
        try:
            registry.put_back(policy, user=_user(request))
        except registry.ModelError as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.PolicySerializer(policy).data)


class Archive(APIView):
    """A model's folder as one tar. 409 where there is none: the model lies on the hub, or its folder is gone."""

    kind: type[Policy] | type[RewardModel] = Policy

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        try:
            return archives.download(researched(self.kind, _user(request), pk))  # type: ignore[type-var]
        except archives.Nothing as reason:
            raise Conflict(str(reason)) from reason


class RewardModels(ProjectList):
    queryset = RewardModel.objects.all()
    serializer_class = serializers.RewardModelSerializer


class OneRewardModel(One):
    queryset = RewardModel.objects.all()
    serializer_class = serializers.RewardModelSerializer


class Datasets(ProjectList):
    queryset = Dataset.objects.all()
    serializer_class = serializers.DatasetSerializer

    @extend_schema(request=serializers.FreezeSerializer, responses={201: serializers.DatasetSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Freeze what the project holds now."""
        project = self.project()
        filters = _checked(serializers.FreezeSerializer(data=request.data))
        cap = filters.pop("prompts_per_author", None)
        try:
            dataset = datasets.freeze(project, user=_user(request), filters=filters, prompts_per_author=cap)
        except datasets.DatasetError as error:
            raise Conflict(str(error)) from error
        return Response(serializers.DatasetSerializer(dataset).data, status=status.HTTP_201_CREATED)


class OneDataset(One):
    queryset = Dataset.objects.all()
    serializer_class = serializers.DatasetSerializer


class DatasetDifference(APIView):
    @extend_schema(responses=serializers.DifferenceSerializer)
    def get(self, request: Request, pk: int, other: int) -> Response:
        """What sets the dataset `other` apart from this one of the same project: rows, and how it was made."""
        before = researched(Dataset, _user(request), pk)
        after = get_object_or_404(Dataset, pk=other, project=before.project)
        try:
            return Response(serializers.DifferenceSerializer(compare(before, after)).data)
        except datasets.DatasetError as error:
            raise Conflict(str(error)) from error


def _user(request: Request) -> User:
    return cast(User, request.user)


def _checked(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """The values given, and no defaults for those that were not."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
