"""Files into a project and out of it."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, audit, exporting, importing
from annotation.adding import allow
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import HeldSerializer, ImportReportSerializer, UploadSerializer
from annotation.models import Completion, Role


class Import(Endpoint):
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request=UploadSerializer,
        responses=ImportReportSerializer,
        parameters=[OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=importing.KINDS)],
    )
    def post(self, request: Request, slug: str, kind: str) -> Response:
        """Add a file's rows. Bad rows are reported by line; unless `keep_good`, one bad row keeps all of them out."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        if kind not in importing.KINDS:
            raise Http404
        sent = checked(UploadSerializer, request)
        report = importing.import_rows(project, kind, sent["file"], user=self.user, keep_good=sent["keep_good"])
        return Response(ImportReportSerializer(report).data)


class Held(Endpoint, generics.ListAPIView[Completion]):
    """The outputs that nobody ranks because they say who wrote them."""

    serializer_class = HeldSerializer
    queryset = Completion.objects.none()

    def get_queryset(self) -> QuerySet[Completion]:
        project = access.project_for(self.user, self.kwargs["slug"], Role.ADMIN)
        return Completion.objects.held().filter(prompt__project=project).select_related("generator").order_by("pk")


class Allow(Endpoint):
    @extend_schema(request=None, responses=HeldSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Have an output ranked although it says who wrote it."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        completion = get_object_or_404(Completion, pk=pk, prompt__project=project)
        allow(completion, by=self.user)
        completion.refresh_from_db()
        return Response(HeldSerializer(completion).data)


class AnyMediaType(DefaultContentNegotiation):
    """The file's format is in its address, whatever the client says it accepts."""

    def select_renderer(
        self, request: Request, renderers: object, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = list(renderers)[0]  # type: ignore[call-overload]
        return renderer, renderer.media_type


class Export(Endpoint):
    content_negotiation_class = AnyMediaType

    @extend_schema(
        responses={(200, media_type): OpenApiTypes.BINARY for media_type in exporting.FORMATS.values()},
        parameters=[
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=exporting.KINDS),
            OpenApiParameter("form", str, OpenApiParameter.PATH, enum=list(exporting.FORMATS)),
        ],
    )
    def get(self, request: Request, slug: str, kind: str, form: str) -> HttpResponseBase:
        """All rows of a kind as a file, streamed. Annotators have pseudonyms, stable within the project."""
        project = access.project_for(self.user, slug, Role.RESEARCHER)
        if kind not in exporting.KINDS or form not in exporting.FORMATS:
            raise Http404
        audit.record(audit.Action.EXPORTED, actor=self.user, project=project, kind=kind, format=form)
        response = StreamingHttpResponse(exporting.stream(project, kind, form), content_type=exporting.FORMATS[form])
        response["Content-Disposition"] = f'attachment; filename="{project.slug}-{kind}.{form}"'
        return response
