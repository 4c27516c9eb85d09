"""How people come in: by invitation. There is no open sign-up."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class InvitedOnly(DefaultAccountAdapter):  # type: ignore[misc] # allauth is not typed
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
