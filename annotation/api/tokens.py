"""Tokens for scripts."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import audit
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import IssuedSerializer, IssueSerializer, TokenSerializer
from annotation.audiences import OwnToken, SignedIn
from annotation.models import ApiToken


class TokenList(Endpoint, generics.ListAPIView[ApiToken]):
    """Your tokens."""

    audience = SignedIn()
    serializer_class = TokenSerializer
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=self.user)

    @extend_schema(request=IssueSerializer, responses={201: IssuedSerializer})
    def post(self, request: Request) -> Response:
        """Make a token. Its secret is in this answer and nowhere else. A token can't make tokens: sign in for it."""
        if isinstance(request.auth, ApiToken):
            raise PermissionDenied(_("A token can't make tokens. Sign in, and make it under Account → Tokens."))
        sent = checked(IssueSerializer, request)
        lifetime = timedelta(days=sent["days"])
        token, secret = ApiToken.issue(self.user, name=sent["name"], lifetime=lifetime, scopes=sent["scopes"])
        audit.record(audit.Action.TOKEN_MADE, actor=self.user, token=token.pk, scopes=token.scopes)
        return Response(TokenSerializer(token).data | {"token": secret}, status.HTTP_201_CREATED)


class TokenDetail(Endpoint, generics.DestroyAPIView[ApiToken]):
    """Make a token useless."""

    audience = OwnToken()
    serializer_class = TokenSerializer
    queryset = ApiToken.objects.none()

    def get_object(self) -> ApiToken:
        return cast(ApiToken, self.opened)

    def perform_destroy(self, instance: ApiToken) -> None:
        audit.record(audit.Action.TOKEN_REVOKED, actor=self.user, token=instance.pk)
        super().perform_destroy(instance)
