"""Projects and how far they are."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access
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
from annotation.models import Assignment, Project, Role
from annotation.progress import progress


class ProjectList(Endpoint, generics.ListAPIView[Project]):
    """The projects that you are a member of."""

    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.visible_to(self.user).active()


class ProjectDetail(Endpoint):
    @extend_schema(responses=ProjectDetailSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """A project, the guidelines in force and your roles."""
        project = access.project_for(self.user, slug)
        roles = access.roles_of(self.user, project)
        return Response(ProjectDetailSerializer(project, context={"roles": roles}).data)


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
