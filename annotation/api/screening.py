"""How annotators are measured: the bar, the sets that researchers answer, and where everybody stands."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import managing
from annotation import screening as verbs
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import AssignmentSerializer
from annotation.api.work import shown
from annotation.audiences import Members
from annotation.models import Assignment, Item, Project, Purpose, Role

PURPOSES = [(purpose.value, purpose.label) for purpose in Purpose if purpose]


class BarSerializer(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields = managing.SCREENING


class SetSerializer(serializers.ModelSerializer[Item]):
    """`answered`: its researcher has ranked it, so that it is given out."""

    prompt = serializers.CharField(source="prompt.text", default=None)
    outputs = serializers.SerializerMethodField()
    keyed_by = serializers.CharField(source="keyed_by.username", default=None)
    answered = serializers.BooleanField(default=False)

    class Meta:
        model = Item
        fields = ("id", "purpose", "prompt", "outputs", "keyed_by", "answered")

    def get_outputs(self, item: Item) -> int:
        return len(item.completions)


class ChooseSerializer(serializers.Serializer[Any]):
    items = serializers.ListField(child=serializers.IntegerField(), help_text="Ranking sets that nobody has begun.")
    purpose = serializers.ChoiceField(choices=PURPOSES)


class ChosenSerializer(serializers.Serializer[Any]):
    chosen = serializers.IntegerField()


class StandingSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    done = serializers.IntegerField(help_text="Qualification sets ranked.")
    wanted = serializers.IntegerField()
    agreement = serializers.FloatField(allow_null=True, help_text="With the researchers' answers, over all pairs.")
    reviewed = serializers.IntegerField(help_text="Answers that reviewers decided on.")
    reviewed_wanted = serializers.IntegerField()
    accepted = serializers.FloatField(allow_null=True, help_text="The share of them that was accepted.")
    passed = serializers.BooleanField()


class Researchers(Endpoint):
    audience = Members(Role.RESEARCHER)


class Screening(Researchers):
    @extend_schema(responses=BarSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """The bars, and the shares of gold and of repeats."""
        return Response(BarSerializer(self.project).data)

    @extend_schema(request=BarSerializer, responses=BarSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change what is sent of them."""
        reader = BarSerializer(data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        managing.change(self.project, by=self.user, settings=reader.validated_data)
        return Response(BarSerializer(self.project).data)


class ScreeningSets(Researchers, generics.ListAPIView[Item]):
    """The sets that measure people."""

    serializer_class = SetSerializer
    queryset = Item.objects.none()

    def get_queryset(self) -> QuerySet[Item]:
        return verbs.sets(self.project)

    @extend_schema(request=ChooseSerializer, responses=ChosenSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Choose sets, which you are then to answer. Of those named, the ones that somebody has begun are left."""
        sent = checked(ChooseSerializer, request)
        count = verbs.choose(self.project, sent["items"], purpose=Purpose(sent["purpose"]), by=self.user)
        return Response({"chosen": count})


class ScreeningCandidates(Researchers, generics.ListAPIView[Item]):
    """Ranking sets that nobody has begun, the oldest first."""

    serializer_class = SetSerializer
    queryset = Item.objects.none()

    def get_queryset(self) -> QuerySet[Item]:
        return verbs.candidates(self.project)


class ScreeningSet(Researchers):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Make it an ordinary set again. What people ranked of it no longer measures them."""
        verbs.give_up(get_object_or_404(verbs.sets(self.project), pk=pk), by=self.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AnswerScreeningSet(Researchers):
    @extend_schema(request=None, responses=AssignmentSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """The piece in which you rank a set that you chose; submit it as any other."""
        piece = verbs.answer(get_object_or_404(verbs.sets(self.project), pk=pk), self.user)
        return Response(shown(Assignment.objects.whole().get(pk=piece.pk)))


class Standings(Researchers):
    @extend_schema(responses=StandingSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """How far each annotator is with qualifying; nobody, where nobody has to."""
        return Response(
            [
                {
                    "username": person.username, "done": each.sets.done, "wanted": each.sets.wanted,
                    "agreement": each.sets.share if each.sets.done else None,
                    "reviewed": each.answers.done, "reviewed_wanted": each.answers.wanted,
                    "accepted": each.answers.share if each.answers.done else None, "passed": each.passed,
                }
                for person, each in verbs.of_annotators(self.project)
            ]
        )  # fmt: skip
