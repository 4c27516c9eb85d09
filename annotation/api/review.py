"""The review queue for scripts: find work, accept or reject it, take that back."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import reviewing
from annotation.api import serializers
from annotation.api.base import Endpoint, checked
from annotation.audiences import Members
from annotation.models import Completion, Role, User, WorkKind

KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=WorkKind.values)


class ReviewQueue(Endpoint, generics.ListAPIView[Any]):
    audience = Members(Role.REVIEWER)
    serializer_class = serializers.ReviewedSerializer
    queryset = Completion.objects.none()  # for the schema alone

    @extend_schema(parameters=[serializers.ReviewFilterSerializer, KIND])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Pieces of a kind, the newest first. Who wrote the outputs of a ranking is not said."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=serializers.DecisionSerializer, responses=serializers.DecidedSerializer, parameters=[KIND])
    def post(self, request: Request, slug: str, kind: str) -> Response:
        """Accept pieces, reject them with a reason, or put them back. One's own, and what stands so, do not change."""
        sent = checked(serializers.DecisionSerializer, request)
        changed = reviewing.decide(self.project, reviewer=self.user, kind=self.kind(), **sent)
        batch = reviewing.recent_batches(self.project, self.user, most=1)[0].id if changed else None
        return Response(serializers.DecidedSerializer({"changed": changed, "batch": batch}).data)

    def get_queryset(self) -> QuerySet[Any]:
        reader = serializers.ReviewFilterSerializer(data=self.request.query_params)
        reader.is_valid(raise_exception=True)
        asked = dict(reader.validated_data)
        if name := asked.pop("author"):
            asked["author"] = get_object_or_404(User, username=name, memberships__project=self.project)
        return reviewing.find(self.project, self.kind(), **asked)

    def paginate_queryset(self, queryset: Any) -> Any:
        """With what each piece's page shows beside it, looked up for all at once."""
        pieces = super().paginate_queryset(queryset) or []
        why = reviewing.reasons(self.kind(), pieces)
        shown = {completion for piece in pieces for completion in getattr(piece, "shown", [])}
        texts = dict(Completion.objects.filter(pk__in=shown).values_list("pk", "text"))
        for piece in pieces:
            piece.why = why.get(piece.pk, "")
            piece.by = getattr(piece, reviewing.AUTHOR[self.kind()])
            piece.texts = [[texts[pk] for pk in group] for group in getattr(piece, "groups", [])]
        return pieces

    def kind(self) -> WorkKind:
        if self.kwargs["kind"] not in WorkKind.values:
            raise Http404
        return WorkKind(self.kwargs["kind"])


class UndoReview(Endpoint):
    audience = Members(Role.REVIEWER)

    @extend_schema(request=None, responses=serializers.UndoneSerializer)
    def post(self, request: Request, slug: str, batch: uuid.UUID) -> Response:
        """Take decisions of yours back that you made at once; what somebody has decided since stays."""
        if not reviewing.has_batch(self.project, batch):
            raise Http404
        return Response({"changed": reviewing.undo(self.project, reviewer=self.user, batch=batch)})
