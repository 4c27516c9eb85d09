"""Projects and how far they are."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access
from annotation.api.base import Endpoint
from annotation.api.serializers import ProgressSerializer, ProjectDetailSerializer, ProjectSerializer
from annotation.models import Project
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
