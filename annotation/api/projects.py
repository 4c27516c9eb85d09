"""Projects and how far they are; their settings, guidelines and terms."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import PermissionDenied
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
from annotation.models import Assignment, Guidelines, Project, Role, Terms, User
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
        check_may_create(self.user)
        made = managing.create(by=self.user, **checked(NewProjectSerializer, request))
        return Response(ProjectSerializer(made).data, status.HTTP_201_CREATED)


class ProjectDetail(Endpoint):
    @extend_schema(responses=ProjectDetailSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """A project, the guidelines in force and your roles."""
        project = access.project_for(self.user, slug)
        roles = access.roles_of(self.user, project)
        return Response(ProjectDetailSerializer(project, context={"roles": roles}).data)

    @extend_schema(request=SettingsSerializer, responses=ProjectSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change those settings that are sent. Each change is logged with the old value and the new one."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        reader = SettingsSerializer(data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        managing.change(project, by=self.user, settings=reader.validated_data)
        return Response(ProjectSerializer(project).data)


class Copy(Endpoint):
    @extend_schema(request=CopySerializer, responses={201: ProjectSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """A new project with the same settings, guidelines and terms, and none of the data."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        check_may_create(self.user)
        made = managing.copy(project, by=self.user, **checked(CopySerializer, request))
        return Response(ProjectSerializer(made).data, status.HTTP_201_CREATED)


class Archive(Endpoint):
    @extend_schema(request=None, responses=ProjectSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Hand nothing out any more; what was collected stays."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        managing.archive(project, by=self.user)
        return Response(ProjectSerializer(project).data)


class Reopen(Endpoint):
    @extend_schema(request=None, responses=ProjectSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Take it out of the archive."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        managing.reopen(project, by=self.user)
        return Response(ProjectSerializer(project).data)


class Versions(Endpoint, generics.ListAPIView[Any]):
    """All versions of a text, the one in force first."""

    serializer_class = VersionSerializer
    kind: type[Guidelines | Terms]

    def get_queryset(self) -> QuerySet[Any]:
        project = access.project_for(self.user, self.kwargs["slug"], Role.ADMIN)
        return self.kind._default_manager.filter(project=project).order_by("-version")

    @extend_schema(request=VersionSerializer, responses={201: VersionSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        text = checked(VersionSerializer, request)["text"]
        made = managing.publish(self.kind, project, by=self.user, text=text)
        return Response(VersionSerializer(made).data, status.HTTP_201_CREATED)


class GuidelinesVersions(Versions):
    kind = Guidelines
    queryset = Guidelines.objects.none()


class TermsVersions(Versions):
    kind = Terms
    queryset = Terms.objects.none()


class ProjectProgress(Endpoint):
    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """How far the project is and what waits."""
        return Response(ProgressSerializer(progress(access.project_for(self.user, slug))).data)


class Leases(Endpoint, generics.ListAPIView[Assignment]):
    """Who holds what in the project, since when and until when."""

    serializer_class = HeldPieceSerializer
    queryset = Assignment.objects.none()

    def get_queryset(self) -> QuerySet[Assignment]:
        project = access.project_for(self.user, self.kwargs["slug"], Role.ADMIN)
        return Assignment.objects.held().filter(item__project=project)


class Release(Endpoint):
    @extend_schema(request=ReleaseSerializer, responses=ReleasedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Give pieces that people hold back to the queue. Drafts stay; what is submitted late counts while it can."""
        project = access.project_for(self.user, slug, Role.ADMIN)
        sent = checked(ReleaseSerializer, request)
        held = Assignment.objects.held().filter(item__project=project)
        theirs = held.filter(annotator__username=sent["annotator"]).values_list("pk", flat=True)
        return Response({"released": leases.release(project, {*sent["assignments"], *theirs}, by=self.user)})


def check_may_create(user: User) -> None:
    if not access.may_create_projects(user):
        raise PermissionDenied(_("You may not create projects."))
