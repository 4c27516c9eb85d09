"""The figures of quality and of the leaderboard for scripts, as their pages show them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import reports as verbs
from annotation.api.base import Endpoint
from annotation.audiences import Members
from annotation.figures import Question
from annotation.models import Report, ReportKind, Role, UseCase
from annotation.numbers import row_number
from annotation.quality.report import WhatIf


class WhatIfSerializer(serializers.Serializer[Any]):
    """What to leave out."""

    annotators = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="A person's id, or the name that a file gave."
    )
    use_cases = serializers.MultipleChoiceField(choices=UseCase.choices, default=set)
    since = serializers.DateField(default=None, allow_null=True)
    until = serializers.DateField(default=None, allow_null=True)


class BoardSerializer(serializers.Serializer[Any]):
    use_case = serializers.ChoiceField(choices=UseCase.choices, default="", allow_blank=True)


class ReportSerializer(serializers.ModelSerializer[Report]):
    """`figures` are as of `made_at`; both are null before any were made. `failure`: why they could not be made."""

    figures = serializers.JSONField(read_only=True)

    class Meta:
        model = Report
        fields = ("made_at", "is_waiting", "failure", "figures")


class Reports(Endpoint):
    """Small projects are answered at once; of the others a worker makes the figures, and the last ones are kept."""

    kind: ReportKind

    def found(self, *, anew: bool) -> Response:
        report = (verbs.ask if anew else verbs.find)(self.project, self.kind, self.question())
        return Response(ReportSerializer(report).data, status=202 if report.is_waiting else 200)

    def question(self) -> Question:
        raise NotImplementedError

    def asked(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        sent = self.request.query_params if self.request.method == "GET" else self.request.data
        reader = serializer(data=sent)
        reader.is_valid(raise_exception=True)
        content: dict[str, Any] = reader.validated_data
        return content


class Quality(Reports):
    audience = Members(Role.REVIEWER)
    kind = ReportKind.QUALITY

    @extend_schema(parameters=[WhatIfSerializer], responses={200: ReportSerializer, 202: ReportSerializer})
    def get(self, request: Request, slug: str) -> Response:
        """How far people agree, and signals about each. 202: newer figures are being made."""
        return self.found(anew=False)

    @extend_schema(request=WhatIfSerializer, responses={200: ReportSerializer, 202: ReportSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Have the figures made anew."""
        return self.found(anew=True)

    def question(self) -> Question:
        sent = self.asked(WhatIfSerializer)
        people = frozenset(who if (pk := row_number(who)) is None else pk for who in sent["annotators"])
        return WhatIf(people, frozenset(sent["use_cases"]), sent["since"], sent["until"]).as_question()


class Leaderboard(Reports):
    audience = Members(Role.RESEARCHER)
    kind = ReportKind.LEADERBOARD

    @extend_schema(parameters=[BoardSerializer], responses={200: ReportSerializer, 202: ReportSerializer})
    def get(self, request: Request, slug: str) -> Response:
        """Which generators people rank higher, by name. 202: newer figures are being made."""
        return self.found(anew=False)

    @extend_schema(request=BoardSerializer, responses={200: ReportSerializer, 202: ReportSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Have the figures made anew."""
        return self.found(anew=True)

    def question(self) -> Question:
        use_case = self.asked(BoardSerializer)["use_case"]
        return {"use_case": use_case} if use_case else {}
