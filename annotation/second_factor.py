"""The second factor of signing in, a code of an authenticator app: how it is kept, who must have one, what follows when
it changes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from allauth.mfa import app_settings as mfa_settings
from allauth.mfa import signals
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core import checks
from django.core.cache import cache
from django.db.models import F, Q
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.audit import Action, record
from annotation.models import Role, User

# Where one goes to set it up, to sign out, and to read these pages.
OPEN = ("/account/", "/i18n/", "/preferences/theme/", "/static/", "/join/")
TOKENS = "/account/tokens/"  # lies there too, but a token made without the second factor would work without it
API = "/api/"

View = Callable[[HttpRequest], HttpResponse]


class Encrypted(DefaultMFAAdapter):  # type: ignore[misc] # allauth is not typed
    """The app's secret and the recovery codes' lie encrypted in the database: a copy of it alone signs nobody in."""

    def encrypt(self, text: str) -> str:
        return _cipher(settings.SECRET_KEY).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            try:
                return _cipher(secret).decrypt(encrypted_text.encode()).decode()
            except InvalidToken:
                continue
        raise InvalidToken("The second factor was kept under another SECRET_KEY. Put that into SECRET_KEY_FALLBACKS.")


def _cipher(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"annotation.second_factor:{secret}".encode()).digest()))


def lacks_one(user: User) -> bool:
    """Whether the person must have a second factor and has none. One query, where anybody must."""
    roles = settings.REQUIRE_MFA
    if not roles:
        return False
    bound = Q(memberships__role__in=roles) | (Q(is_superuser=True) if Role.ADMIN in roles else Q())
    return User.objects.filter(bound, pk=user.pk).exclude(authenticator__type=Authenticator.Type.TOTP).exists()


def required(get_response: View) -> View:
    """A middleware: whoever must have a second factor and has none sets one up before they see anything else.

    Tokens work on: their owners had signed in when they made them.
    """

    def answered(request: HttpRequest) -> HttpResponse:
        user = request.user
        is_open = request.path.startswith(OPEN) and not request.path.startswith(TOKENS)
        if not settings.REQUIRE_MFA or not isinstance(user, User) or is_open:
            return get_response(request)
        if not lacks_one(user):
            return get_response(request)
        told = _("Your role needs a second factor to sign in. Set one up now.")
        if request.path.startswith(API):
            return JsonResponse({"detail": told}, status=403)
        messages.warning(request, told)
        return redirect("mfa_activate_totp")

    return answered


@receiver((signals.authenticator_added, signals.authenticator_removed, signals.authenticator_reset))
def is_changed(request: HttpRequest, user: User, **about: Any) -> None:
    """Everywhere else the person is signed out; here their session goes on under another key."""
    User.objects.filter(pk=user.pk).update(second_factor_changes=F("second_factor_changes") + 1)
    user.refresh_from_db(fields=["second_factor_changes"])
    update_session_auth_hash(request, user)
    record(Action.SECOND_FACTOR_CHANGED, actor=user, has_one=Authenticator.objects.filter(user=user.pk).exists())


@receiver(signals.authenticator_used)
def is_used(request: HttpRequest, authenticator: Authenticator, **about: Any) -> None:
    """A code counts once for as long as it would be taken: allauth remembers it for one step, and takes three."""
    if authenticator.type == Authenticator.Type.TOTP:
        kept = authenticator.wrap()._get_used_cache_key(request.POST.get("code", ""))
        cache.touch(kept, timeout=mfa_settings.TOTP_PERIOD * (2 * mfa_settings.TOTP_TOLERANCE + 1))


@receiver(signals.authentication_failed)
def is_wrong(user: User, **about: Any) -> None:
    record(Action.SIGN_IN_FAILED, actor=None, person=user.pk)


def roles_are_known(app_configs: object, **kwargs: Any) -> list[checks.CheckMessage]:
    unknown = set(settings.REQUIRE_MFA) - set(Role.values)
    if not unknown:
        return []
    return [
        checks.Error(
            f"REQUIRE_MFA names {', '.join(sorted(unknown))}; expected some of {', '.join(Role.values)}.",
            hint="As in REQUIRE_MFA=admin,researcher.",
            id="annotation.E004",
        )
    ]
