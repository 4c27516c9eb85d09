"""Policies and reward models for scripts: the verbs that the pages call."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.base import Conflict, checked
from annotation.api.schema import CONFLICTS
from annotation.audiences import Audiences
from annotation.models import Project
from training import archives, pushing, registry
from training.access import ResearchersOf
from training.api import serializers
from training.api.base import Endpoint, One, ProjectList
from training.evaluation import EvaluationRefused, policies, reward_models
from training.models import Dataset, Policy, RewardModel, TrainingRun


class Policies(ProjectList):
    queryset = Policy.objects.all()
    serializer_class = serializers.PolicySerializer

    @extend_schema(request=serializers.ImportSerializer, responses={201: serializers.PolicySerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Bring a model in by its folder on the server or its name on the hub."""
        project = self.project
        given = checked(serializers.ImportSerializer, request)
        try:
            policy = registry.import_policy(project, source=given["source"], name=given["name"], user=self.user)
        except registry.ModelError as error:
            raise ValidationError({"source": str(error)}) from error
        return Response(serializers.PolicySerializer(policy).data, status=status.HTTP_201_CREATED)


class OnePolicy(One):
    audience = ResearchersOf(Policy)
    queryset = Policy.objects.all()
    serializer_class = serializers.PolicySerializer


class PutBack(Endpoint):
    """Go back to a policy that was published before. 409 where it never was, or answers now."""

    audience = ResearchersOf(Policy)

    @extend_schema(request=None, responses=serializers.PolicySerializer)
    def post(self, request: Request, pk: int) -> Response:
        policy = self.opened
        try:
            registry.put_back(policy, user=self.user)
        except registry.ModelError as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.PolicySerializer(policy).data)


class EvaluatePolicy(Endpoint):
    """Have it answer held-out prompts that people answered, in a run whose `result.evaluation` tells its figures."""

    audience = ResearchersOf(Policy)

    @extend_schema(request=serializers.EvaluatePolicySerializer, responses={201: serializers.RunSerializer})
    def post(self, request: Request, pk: int) -> Response:
        policy: Policy = self.opened
        given = checked(serializers.EvaluatePolicySerializer, request)
        dataset, judge = _dataset(policy.project, given.pop("dataset", None)), given.pop("judge", None)
        if judge is not None:
            given["judge"] = get_object_or_404(RewardModel, pk=judge, project=policy.project)
        return _evaluation(lambda: policies.start(policy, user=self.user, dataset=dataset, **given))


class EvaluateRewardModel(Endpoint):
    """Have it score outputs that people ranked and no training sees; the run's `result.evaluation` tells the rest."""

    audience = ResearchersOf(RewardModel)

    @extend_schema(request=serializers.EvaluateRewardModelSerializer, responses={201: serializers.RunSerializer})
    def post(self, request: Request, pk: int) -> Response:
        model: RewardModel = self.opened
        given = checked(serializers.EvaluateRewardModelSerializer, request)
        dataset = _dataset(model.project, given.pop("dataset", None))
        return _evaluation(lambda: reward_models.start(model, user=self.user, dataset=dataset, **given))


class Archive(Endpoint):
    """A model's folder as one tar. 409 where there is none: the model lies on the hub, or its folder is gone."""

    audience: Audiences = ResearchersOf(Policy)

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY, **CONFLICTS})
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        try:
            return archives.download(self.opened)
        except archives.Nothing as reason:
            raise Conflict(str(reason)) from reason


class Pushes(Endpoint):
    """A model on its way to the hub."""

    audience: Audiences = ResearchersOf(Policy)

    @extend_schema(responses=serializers.PushSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """What was pushed, and what came of it; the newest first."""
        return Response(serializers.PushSerializer(pushing.of(self.opened), many=True).data)

    @extend_schema(request=serializers.PushSerializer, responses={201: serializers.PushSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Have a worker push it. Private unless `public`. 409 for a policy that was never published."""
        given = checked(serializers.PushSerializer, request)
        made = pushing.start(
            self.opened, repository=given["repository"], public=given.get("public", False), by=self.user
        )
        return Response(serializers.PushSerializer(made).data, status=status.HTTP_201_CREATED)


class RewardModels(ProjectList):
    queryset = RewardModel.objects.all()
    serializer_class = serializers.RewardModelSerializer


class OneRewardModel(One):
    audience = ResearchersOf(RewardModel)
    queryset = RewardModel.objects.all()
    serializer_class = serializers.RewardModelSerializer


def _dataset(project: Project, number: int | None) -> Dataset:
    """The dataset of that number, or else the newest."""
    frozen = project.datasets.order_by("-pk")
    if number is not None:
        return get_object_or_404(frozen, pk=number)
    if not frozen:
        raise Conflict("The project has no dataset. Freeze one first.")
    return frozen[0]


def _evaluation(start: Callable[[], TrainingRun]) -> Response:
    try:
        run = start()
    except EvaluationRefused as refusal:
        raise Conflict(str(refusal)) from refusal
    return Response(serializers.RunSerializer(run).data, status=status.HTTP_201_CREATED)
