"""External models and requests for outputs, for scripts: the verbs that the pages call."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.base import Conflict, checked
from annotation.audiences import Members
from annotation.models import Generator, Role
from training.access import RESEARCHERS, AdminsOf, ResearchersOf
from training.api.base import Endpoint, One, ProjectList
from training.api.external_serializers import (
    AskSerializer,
    ExternalModelSerializer,
    NewExternalModelSerializer,
    OneOutputRequestSerializer,
    OutputRequestSerializer,
)
from training.external import asking, registering
from training.external.forms import FIELDS
from training.models import ExternalModel, OutputRequest


class ExternalModels(ProjectList):
    audience = Members(Role.ADMIN)
    queryset = ExternalModel.objects.select_related("generator")
    serializer_class = ExternalModelSerializer

    @extend_schema(request=NewExternalModelSerializer, responses={201: ExternalModelSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Register a model behind an OpenAI-compatible address. A worker asks it for a first answer."""
        given = checked(NewExternalModelSerializer, request)
        name, key = given.pop("name"), given.pop("key", "")
        made = registering.register(self.project, name=name, key=key, values=given, by=self.user)
        return Response(ExternalModelSerializer(made).data, status=status.HTTP_201_CREATED)


class OneExternalModel(One):
    audience = AdminsOf(ExternalModel)
    queryset = ExternalModel.objects.select_related("generator")
    serializer_class = ExternalModelSerializer

    @extend_schema(request=ExternalModelSerializer, responses=ExternalModelSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Change it. An address that leads to another place needs the key again. A worker asks for a first answer."""
        model: ExternalModel = self.opened
        reader = ExternalModelSerializer(model, data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(reader.validated_data)
        key = given.pop("key", "")
        values = {name: given.get(name, getattr(model, name)) for name in FIELDS}
        registering.change(model, key=key, values=values, by=self.user)
        return Response(ExternalModelSerializer(model).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Forget its key and ask nothing more of it. What it answered stays."""
        registering.remove(self.opened, by=self.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CheckExternalModel(Endpoint):
    audience = AdminsOf(ExternalModel)

    @extend_schema(request=None, responses={202: ExternalModelSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Have a worker ask it for an answer; `checked_at` and `problem` tell what came of it."""
        model: ExternalModel = self.opened
        registering.look_again(model, by=self.user)
        model.refresh_from_db()
        return Response(ExternalModelSerializer(model).data, status=status.HTTP_202_ACCEPTED)


class OutputRequests(ProjectList):
    audience = RESEARCHERS
    queryset = OutputRequest.objects.prefetch_related("generators")
    serializer_class = OutputRequestSerializer

    @extend_schema(request=AskSerializer, responses={201: OneOutputRequestSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Have prompts without outputs get K each from these generators, and be ranked."""
        given = checked(AskSerializer, request)
        named = given.pop("generators")
        found = Generator.objects.filter(project=self.project).in_bulk(named)
        if missing := [pk for pk in named if pk not in found]:
            raise Conflict(f"This project has no generator {missing[0]}.")
        filters = {name: given.pop(name, []) for name in asking.FILTERS}
        unique = [found[pk] for pk in dict.fromkeys(named)]
        asked = asking.ask(self.project, by=self.user, generators=unique, filters=filters, **given)
        return Response(OneOutputRequestSerializer(asked).data, status=status.HTTP_201_CREATED)


class OneOutputRequest(One):
    audience = ResearchersOf(OutputRequest)
    queryset = OutputRequest.objects.all()
    serializer_class = OneOutputRequestSerializer


class CancelOutputRequest(Endpoint):
    audience = ResearchersOf(OutputRequest)

    @extend_schema(request=None, responses=OneOutputRequestSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Ask for no more. Where two outputs of a prompt have come, people rank those."""
        asked: OutputRequest = self.opened
        asking.cancel(asked, by=self.user)
        asked.refresh_from_db()
        return Response(OneOutputRequestSerializer(asked).data)
