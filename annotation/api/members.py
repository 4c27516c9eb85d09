"""Who is in a project and on which terms; invitations; everybody's timesheets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import erasing, membership, my_work
from annotation.api.base import Endpoint, checked
from annotation.api.serializers import WithdrawnSerializer
from annotation.audiences import Members, SignedIn
from annotation.models import Invitation, Membership, PaidPer, PayRate, Role, Scope, UseCase, User
from annotation.refusals import Refused


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "username", "role", "languages", "use_cases", "daily_cap", "created_at")
        read_only_fields = fields


class NewMemberSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class LimitsSerializer(serializers.Serializer[Any]):
    languages = serializers.ListField(child=serializers.CharField(), help_text="None: all of the project's.")
    use_cases = serializers.ListField(
        child=serializers.ChoiceField(choices=UseCase.choices), default=list, help_text="None: all."
    )
    daily_cap = serializers.IntegerField(min_value=1, allow_null=True, help_text="Pieces a day at most.")


class RateSerializer(serializers.ModelSerializer[PayRate]):
    username = serializers.CharField(source="user.username", read_only=True)
    per = serializers.ChoiceField(choices=PaidPer.choices)
    since = serializers.DateField(required=False, help_text="Today, if nothing is said.")

    class Meta:
        model = PayRate
        fields = ("username", "amount", "per", "since")


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    class Meta:
        model = Invitation
        fields: tuple[str, ...] = (
            "id", "name", "roles", "languages", "max_uses", "uses", "created_at", "expires_at", "revoked_at",
        )  # fmt: skip
        read_only_fields = fields


class InviteSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80, help_text="For whom it is.")
    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices), min_length=1)
    languages = serializers.ListField(child=serializers.CharField(), default=list)
    max_uses = serializers.IntegerField(default=1, min_value=1, help_text="People it lets in.")
    days = serializers.IntegerField(default=7, min_value=1, help_text="Until it expires.")


class InvitedSerializer(InvitationSerializer):
    link = serializers.URLField(help_text="Shown in this answer and nowhere else.")

    class Meta(InvitationSerializer.Meta):
        fields = (*InvitationSerializer.Meta.fields, "link")
        read_only_fields = fields


class JoinSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="The last part of the link.")


class JoinedSerializer(serializers.Serializer[Any]):
    project = serializers.SlugField()


class MemberList(Endpoint, generics.ListAPIView[Membership]):
    """The members, one entry a role."""

    audience = Members(Role.ADMIN)
    serializer_class = MemberSerializer
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        return self.project.memberships.select_related("user").order_by("user__username", "role")

    @extend_schema(request=NewMemberSerializer, responses={201: MemberSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Give a role to somebody who has an account."""
        sent = checked(NewMemberSerializer, request)
        person = get_object_or_404(User, username__iexact=sent["username"], is_active=True)
        membership.add(self.project, person, Role(sent["role"]), by=self.user)
        member = self.project.memberships.select_related("user").get(user=person, role=sent["role"])
        return Response(MemberSerializer(member).data, status.HTTP_201_CREATED)


class MemberDetail(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=LimitsSerializer, responses=MemberSerializer)
    def put(self, request: Request, slug: str, pk: int) -> Response:
        """Set an annotator's languages, use cases and daily cap."""
        member = self.member(slug, pk)
        membership.limit(member, by=self.user, **checked(LimitsSerializer, request))
        return Response(MemberSerializer(self.member(slug, pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Take the role away."""
        membership.remove(self.member(slug, pk), by=self.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def member(self, slug: str, pk: int) -> Membership:
        return get_object_or_404(self.project.memberships.select_related("user", "project"), pk=pk)


class Erase(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(request=None, responses=WithdrawnSerializer)
    def post(self, request: Request, slug: str, username: str) -> Response:
        """Erase a person from the project, in the files of its datasets too. There is no way back."""
        person = get_object_or_404(erasing.people(self.project), username=username)
        return Response(erasing.erase(self.project, person, by=self.user).counts())


class RateList(Endpoint, generics.ListAPIView[PayRate]):
    """Rates of pay, each from a day on, in the project's currency."""

    audience = Members(Role.ADMIN)
    serializer_class = RateSerializer
    queryset = PayRate.objects.none()

    def get_queryset(self) -> QuerySet[PayRate]:
        person = get_object_or_404(erasing.people(self.project), username=self.kwargs["username"])
        return self.project.pay_rates.select_related("user").filter(user=person)

    @extend_schema(request=RateSerializer, responses={201: RateSerializer})
    def post(self, request: Request, slug: str, username: str) -> Response:
        """Set a person's rate from a day on; work of earlier days keeps the rate of its day."""
        person = get_object_or_404(User.objects.filter(memberships__project=self.project).distinct(), username=username)
        rate = membership.pay(self.project, person, by=self.user, **checked(RateSerializer, request))
        return Response(RateSerializer(rate).data, status.HTTP_201_CREATED)


class InvitationList(Endpoint, generics.ListAPIView[Invitation]):
    """The project's invitations. Their links are not among what is kept."""

    audience = Members(Role.ADMIN)
    serializer_class = InvitationSerializer
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        return self.project.invitations.all()

    @extend_schema(request=InviteSerializer, responses={201: InvitedSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Make a link that lets people in."""
        sent = checked(InviteSerializer, request)
        lifetime = timedelta(days=sent.pop("days"))
        invitation, secret = membership.invite(self.project, by=self.user, lifetime=lifetime, **sent)
        invitation.link = request.build_absolute_uri(reverse("join", args=[secret]))  # type: ignore[attr-defined]
        return Response(InvitedSerializer(invitation).data, status.HTTP_201_CREATED)


class InvitationDetail(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Revoke it: it lets nobody in any more."""
        membership.revoke(get_object_or_404(self.project.invitations.select_related("project"), pk=pk), by=self.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Join(Endpoint):
    audience = SignedIn()
    scope = Scope.ANNOTATE

    @extend_schema(request=JoinSerializer, responses=JoinedSerializer)
    def post(self, request: Request) -> Response:
        """Become a member by an invitation."""
        invitation = Invitation.objects.matching(checked(JoinSerializer, request)["secret"])
        if invitation is None:
            raise Refused(_("This invitation has been used up, has expired or was revoked. Ask for a new one."))
        membership.join(invitation, self.user)
        return Response({"project": invitation.project.slug})


class Timesheets(Endpoint):
    audience = Members(Role.ADMIN)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Everybody's days of work, with what they are owed."""
        response = HttpResponse(my_work.as_csv(self.project), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.project.slug}-timesheets.csv"'
        return response
