"""How people come in: by invitation. There is no open sign-up."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect

from annotation import membership
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
