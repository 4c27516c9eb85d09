"""Files into a project and out of it."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import audit, exporting, importing, uploads
from annotation.adding import allow
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import ConfirmSerializer, HeldSerializer, ImportSerializer, UploadSerializer
from annotation.audiences import Members
from annotation.models import Completion, Project, Role, Upload


class Import(Endpoint):
    audience = Members(Role.ADMIN)
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request=UploadSerializer,
        responses={200: ImportSerializer, 202: ImportSerializer},
        parameters=[OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=importing.KINDS)],
    )
    def post(self, request: Request, slug: str, kind: str) -> Response:
        """Add a file's rows. Bad rows are reported by line; unless `keep_good`, one bad row keeps all of them out.

        With `preview` the file is only looked through, and waits for `confirm`. A small file is worked through at
        once (200); of a large one a worker is at it (202), and the import's own address says how far.
        """
        if kind not in importing.KINDS:
            raise Http404
        sent = checked(UploadSerializer, request)
        keep_good = None if sent["preview"] else sent["keep_good"]
        upload = uploads.receive(self.project, kind, sent["file"], user=self.user, keep_good=keep_good)
        return import_response(upload)


class ImportDetail(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(responses=ImportSerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """A file on its way into the project: how it was understood, how far it is, what came in."""
        return Response(ImportSerializer(upload_of(self.project, pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Forget a file that was not imported."""
        uploads.discard(upload_of(self.project, pk))
        return Response(status=204)


class ConfirmImport(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=ConfirmSerializer, responses={200: ImportSerializer, 202: ImportSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Import a file that was looked through."""
        keep_good = checked(ConfirmSerializer, request)["keep_good"]
        return import_response(uploads.confirm(upload_of(self.project, pk), keep_good=keep_good))


class StopImport(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses={200: ImportSerializer, 202: ImportSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Stop a file that is being worked on. The rows before stay with `keep_good`, else none does.

        200: it has stopped; 202: whoever is at it stops after the next few lines.
        """
        upload = upload_of(self.project, pk)
        uploads.stop(upload)
        upload.refresh_from_db()
        return import_response(upload)


class ImportAgain(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses={200: ImportSerializer, 202: ImportSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Work through a file that was stopped, or failed, once more from its beginning."""
        return import_response(uploads.begin_again(upload_of(self.project, pk)))


def upload_of(project: Project, pk: int) -> Upload:
    return get_object_or_404(Upload, pk=pk, project=project)


def import_response(upload: Upload) -> Response:
    return Response(ImportSerializer(upload).data, status=202 if upload.is_waiting else 200)


class Held(Endpoint, generics.ListAPIView[Completion]):
    """The outputs that nobody ranks because they say who wrote them."""

    audience = Members(Role.ADMIN)
    serializer_class = HeldSerializer
    queryset = Completion.objects.none()

    def get_queryset(self) -> QuerySet[Completion]:
        return Completion.objects.held().filter(prompt__project=self.project).select_related("generator").order_by("pk")


class Allow(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses=HeldSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Have an output ranked although it says who wrote it."""
        completion = get_object_or_404(Completion, pk=pk, prompt__project=self.project)
        allow(completion, by=self.user)
        completion.refresh_from_db()
        return Response(HeldSerializer(completion).data)


class Export(Endpoint):
    audience = Members(Role.RESEARCHER)

    @extend_schema(
        responses={(200, media_type): OpenApiTypes.BINARY for media_type in exporting.FORMATS.values()},
        parameters=[
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=exporting.KINDS),
            OpenApiParameter("form", str, OpenApiParameter.PATH, enum=list(exporting.FORMATS)),
        ],
    )
    def get(self, request: Request, slug: str, kind: str, form: str) -> HttpResponseBase:
        """All rows of a kind as a file, streamed. Annotators have pseudonyms, stable within the project."""
        if kind not in exporting.KINDS or form not in exporting.FORMATS:
            raise Http404
        audit.record(audit.Action.EXPORTED, actor=self.user, project=self.project, kind=kind, format=form)
        response = StreamingHttpResponse(
            exporting.stream(self.project, kind, form), content_type=exporting.FORMATS[form]
        )
        response["Content-Disposition"] = f'attachment; filename="{self.project.slug}-{kind}.{form}"'
        return response
