"""Rounds for scripts: the verbs that the pages call."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.base import Conflict, checked
from training import automatic, outlook, rounds, runs
from training.access import RESEARCHERS, ResearchersOf
from training.api import serializers
from training.api.base import Endpoint, One, ProjectList
from training.models import Round
from training.options import Options


class Rounds(ProjectList):
    queryset = Round.objects.select_related("gate").prefetch_related("runs", "decisions")
    serializer_class = serializers.RoundSerializer

    @extend_schema(request=serializers.StartSerializer, responses={201: serializers.RoundSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Start a round. 409 while another runs."""
        project = self.project
        options = checked(serializers.StartSerializer, request)
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
            options = Options.parse(checked(serializers.StartSerializer, request))
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
        given = serializers.AutomaticSerializer(rule, data=request.data)
        given.is_valid(raise_exception=True)
        for name, value in given.validated_data.items():
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
        given = checked(serializers.GateDecisionSerializer, request)
        try:
            rounds.decide(round, publish_it=given["publish"], reason=given["reason"], user=self.user)
        except rounds.RoundRefused as refusal:
            raise Conflict(str(refusal)) from refusal
        return Response(serializers.RoundSerializer(Round.objects.get(pk=round.pk)).data)
