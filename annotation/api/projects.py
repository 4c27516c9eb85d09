"""Projects and how far they are; their settings, guidelines and terms."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, managing
from annotation import assignment as leases
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import (
    HeldPieceSerializer,
    ProgressSerializer,
    ProjectDetailSerializer,
    ProjectSerializer,
    ReleasedSerializer,
    ReleaseSerializer,
)
from annotation.audiences import CreatingMembers, Creators, Members, SignedIn
from annotation.models import Assignment, Guidelines, Project, Role, Terms
from annotation.progress import progress


class SettingsSerializer(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields: tuple[str, ...] = managing.SETTINGS


class NewProjectSerializer(SettingsSerializer):
    class Meta(SettingsSerializer.Meta):
        fields = ("slug", *managing.SETTINGS)


class CopySerializer(serializers.ModelSerializer[Project]):
    with_members = serializers.BooleanField(default=False)

    class Meta:
        model = Project
        fields = ("name", "slug", "with_members")


class VersionSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(read_only=True)
    text = serializers.CharField(trim_whitespace=False, help_text="Markdown.")
    created_at = serializers.DateTimeField(read_only=True)


class ProjectList(Endpoint, generics.ListAPIView[Project]):
    """The projects that you are a member of; with `archived`, those in the archive."""

    audience = {"GET": SignedIn(), "POST": Creators()}
    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    def get_queryset(self) -> QuerySet[Project]:
        visible = Project.objects.visible_to(self.user)
        return visible.exclude(archived_at=None) if "archived" in self.request.query_params else visible.active()

    @extend_schema(parameters=[OpenApiParameter("archived", bool)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=NewProjectSerializer, responses={201: ProjectSerializer})
    def post(self, request: Request) -> Response:
        """Create a project, of which you are the admin."""
        made = managing.create(by=self.user, **checked(NewProjectSerializer, request))
        return Response(ProjectSerializer(made).data, status.HTTP_201_CREATED)


class ProjectDetail(Endpoint):
    audience = {"GET": Members(), "PATCH": Members(Role.ADMIN)}

    @extend_schema(responses=ProjectDetailSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """A project, the guidelines in force and your roles."""
        roles = access.roles_of(self.user, self.project)
        return Response(ProjectDetailSerializer(self.project, context={"roles": roles}).data)

    @extend_schema(request=SettingsSerializer, responses=ProjectSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change those settings that are sent. Each change is logged with the old value and the new one."""
        reader = SettingsSerializer(data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        managing.change(self.project, by=self.user, settings=reader.validated_data)
        return Response(ProjectSerializer(self.project).data)


class Copy(Endpoint):
    audience = CreatingMembers(Role.ADMIN)

    @extend_schema(request=CopySerializer, responses={201: ProjectSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """A new project with the same settings, guidelines and terms, and none of the data."""
        made = managing.copy(self.project, by=self.user, **checked(CopySerializer, request))
        return Response(ProjectSerializer(made).data, status.HTTP_201_CREATED)


class Archive(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses=ProjectSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Hand nothing out any more; what was collected stays."""
        managing.archive(self.project, by=self.user)
        return Response(ProjectSerializer(self.project).data)


class Reopen(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses=ProjectSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Take it out of the archive."""
        managing.reopen(self.project, by=self.user)
        return Response(ProjectSerializer(self.project).data)


class Versions(Endpoint, generics.ListAPIView[Any]):
    """All versions of a text, the one in force first."""

    audience = Members(Role.ADMIN)
    serializer_class = VersionSerializer
    kind: type[Guidelines | Terms]

    def get_queryset(self) -> QuerySet[Any]:
        return self.kind._default_manager.filter(project=self.project).order_by("-version")

    @extend_schema(request=VersionSerializer, responses={201: VersionSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version."""
        text = checked(VersionSerializer, request)["text"]
        made = managing.publish(self.kind, self.project, by=self.user, text=text)
        return Response(VersionSerializer(made).data, status.HTTP_201_CREATED)


class GuidelinesVersions(Versions):
    kind = Guidelines
    queryset = Guidelines.objects.none()


class TermsVersions(Versions):
    kind = Terms
    queryset = Terms.objects.none()


class ProjectProgress(Endpoint):
    audience = Members()

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """How far the project is and what waits."""
        return Response(ProgressSerializer(progress(self.project)).data)


class Leases(Endpoint, generics.ListAPIView[Assignment]):
    """Who holds what in the project, since when and until when."""

    audience = Members(Role.ADMIN)
    serializer_class = HeldPieceSerializer
    queryset = Assignment.objects.none()

    def get_queryset(self) -> QuerySet[Assignment]:
        return Assignment.objects.held().filter(item__project=self.project)


class Release(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=ReleaseSerializer, responses=ReleasedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Give pieces that people hold back to the queue. Drafts stay; what is submitted late counts while it can."""
        sent = checked(ReleaseSerializer, request)
        held = Assignment.objects.held().filter(item__project=self.project)
        theirs = held.filter(annotator__username=sent["annotator"]).values_list("pk", flat=True)
        return Response({"released": leases.release(self.project, {*sent["assignments"], *theirs}, by=self.user)})
