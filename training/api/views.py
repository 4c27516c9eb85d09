"""Rounds, runs, models and datasets for scripts: the verbs that the pages call, for a project's researchers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from annotation.api.base import Conflict
from annotation.api.base import Endpoint as BaseEndpoint
from annotation.api.schema import CONFLICTS
from annotation.audiences import Audiences
from annotation.models import Project, Scope
from annotation.numbers import row_number
from training import archives, automatic, datasets, outlook, pushing, registry, rounds, runs
from training.access import RESEARCHERS, ResearchersOf
from training.api import serializers
from training.curves import for_json, metrics, name_of
from training.differences import compare
from training.evaluation import EvaluationRefused, policies, reward_models
from training.models import Dataset, Policy, RewardModel, Round, TrainingRun
from training.options import Options


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


class Rounds(ProjectList):
    queryset = Round.objects.select_related("gate").prefetch_related("runs", "decisions")
    serializer_class = serializers.RoundSerializer

    @extend_schema(request=serializers.StartSerializer, responses={201: serializers.RoundSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Start a round. 409 while another runs."""
        project = self.project
        options = _checked(serializers.StartSerializer(data=request.data))
        try:
            started = rounds.start(project, user=self.user, options=options)
        except rounds.RoundRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.RoundSerializer(started).data, status=status.HTTP_201_CREATED)


class RoundEstimate(Endpoint):
    audience = RESEARCHERS

    @extend_schema(request=serializers.StartSerializer, responses=serializers.OutlookSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """What a round would lack, take and cost, were it started now. Nothing is started."""
        try:
            options = Options.parse(_checked(serializers.StartSerializer(data=request.data)))
            told = outlook.of_round(self.project, options, base=rounds.base_for(self.project, options))
        except rounds.RoundRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.OutlookSerializer(told).data)


class Automatic(Endpoint):
    audience = RESEARCHERS

    @extend_schema(responses=serializers.AutomaticSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """When the project's rounds start by themselves, and why the last look started none."""
        return Response(serializers.AutomaticSerializer(automatic.of(self.project)).data)

    @extend_schema(request=serializers.AutomaticSerializer, responses=serializers.AutomaticSerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Change it. What paused it is forgotten."""
        rule = automatic.of(self.project)
        for name, value in _checked(serializers.AutomaticSerializer(rule, data=request.data)).items():
            setattr(rule, name, value)
        automatic.change(rule, user=self.user)
        return Response(serializers.AutomaticSerializer(rule).data)


class OneRound(One):
    audience = ResearchersOf(Round)
    queryset = Round.objects.all()
    serializer_class = serializers.RoundSerializer


class RoundVerb(Endpoint):
    """Cancel, publish or retry a round, as the URL says."""

    audience = ResearchersOf(Round)
    verb = ""

    @extend_schema(request=None, responses=serializers.RoundSerializer)
    def post(self, request: Request, pk: int) -> Response:
        round = self.opened
        try:
            match self.verb:
                case "cancel":
                    rounds.cancel(round, user=self.user)
                case "publish":
                    rounds.publish(round, user=self.user)
                case "retry":
                    rounds.retry(round, user=self.user)
        except (rounds.RoundRefused, runs.RunRefused) as refusal:
            raise Conflict(str(refusal)) from refusal
        round.refresh_from_db()
        return Response(serializers.RoundSerializer(round).data)


class RoundDecision(Endpoint):
    audience = ResearchersOf(Round)

    @extend_schema(request=serializers.GateDecisionSerializer, responses=serializers.RoundSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Publish a round's policy or not, whatever its gate says. 409 where the round has no gate, or is past it."""
        round = self.opened
        given = _checked(serializers.GateDecisionSerializer(data=request.data))
        try:
            rounds.decide(round, publish_it=given["publish"], reason=given["reason"], user=self.user)
        except rounds.RoundRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.RoundSerializer(Round.objects.get(pk=round.pk)).data)


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


class Policies(ProjectList):
    queryset = Policy.objects.all()
    serializer_class = serializers.PolicySerializer

    @extend_schema(request=serializers.ImportSerializer, responses={201: serializers.PolicySerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Bring a model in by its folder on the server or its name on the hub."""
        project = self.project
        given = _checked(serializers.ImportSerializer(data=request.data))
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
        given = _checked(serializers.EvaluatePolicySerializer(data=request.data))
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
        given = _checked(serializers.EvaluateRewardModelSerializer(data=request.data))
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
        given = _checked(serializers.PushSerializer(data=request.data))
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


class Datasets(ProjectList):
    queryset = Dataset.objects.all()
    serializer_class = serializers.DatasetSerializer

    @extend_schema(request=serializers.FreezeSerializer, responses={201: serializers.DatasetSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Freeze what the project holds now."""
        project = self.project
        filters = _checked(serializers.FreezeSerializer(data=request.data))
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


def _curve(run: TrainingRun) -> dict[str, Any]:
    return {"id": run.pk, "stage": run.stage, "name": name_of(run), "rows": for_json(metrics(run))}


def _checked(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """The values given, and no defaults for those that were not."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
