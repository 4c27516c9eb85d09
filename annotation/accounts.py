"""How people come in: by invitation, there is no open sign-up. Who signs in, or tries to, stands in the audit log."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation import membership
from annotation.audit import Action, record
from annotation.models import Invitation, User
from annotation.refusals import Refused

INVITATION = "invitation"  # in the session of whoever followed a link: the invitation's id, never its secret


class InvitedOnly(DefaultAccountAdapter):  # type: ignore[misc] # allauth is not typed
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return Invitation.objects.open().filter(pk=request.session.get(INVITATION, 0)).exists()

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """The account and the membership come together, or neither: others may use the link up at this moment."""
        invitation = Invitation.objects.select_related("project").get(pk=request.session[INVITATION])
        try:
            with transaction.atomic():
                person: User = super().save_user(request, user, form, commit)
                membership.join(invitation, person)
        except Refused as refusal:
            raise ImmediateHttpResponse(redirect("account_signup")) from refusal
        del request.session[INVITATION]
        return person

    def post_login(self, request: HttpRequest, user: User, **about: Any) -> HttpResponse:
        record(Action.SIGNED_IN, actor=user)
        response: HttpResponse = super().post_login(request, user, **about)
        return response

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Of names that nobody has, and of what was typed, nothing is kept."""
        person = User.objects.filter(username__iexact=credentials.get("username", "")).first()
        details: dict[str, Any] = {"person": person.pk} if person else {}
        record(Action.SIGN_IN_FAILED, actor=None, **details)

    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            record(Action.SIGNED_OUT, actor=request.user)
        super().logout(request)
