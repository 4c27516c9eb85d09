"""People and the tokens their scripts sign in with."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

TOKEN_PREFIX = "plumb_"  # noqa: S105 (a marker that lets secret scanners find leaked tokens, not a secret)


class User(AbstractUser):
    """Somebody who signs in. What they may do is told by their memberships (annotation.access)."""

    shortcuts = models.JSONField(
        _("keys"),
        default=dict,
        blank=True,
        help_text=_("Keys for ranking that the person chose (annotation.shortcuts)."),
    )

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> ApiTokenQuerySet:
        return self.filter(expires_at__gt=timezone.now(), user__is_active=True)

    def matching(self, secret: str) -> ApiToken | None:
        return self.valid().filter(digest=digest(secret)).select_related("user").first()


class ApiToken(models.Model):
    """A bearer token. Only its hash is stored; the secret is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.user})"

    @property
    def has_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def issue(cls, user: User, *, name: str, lifetime: timedelta) -> tuple[ApiToken, str]:
        """A new token and its secret, which can't be read again."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        expires_at: datetime = timezone.now() + lifetime
        return cls.objects.create(user=user, name=name, digest=digest(secret), expires_at=expires_at), secret


def digest(secret: str) -> str:
    """The stored form of a token: it is random and long, so a plain hash is enough and lookups stay one index read."""
    return hashlib.sha256(secret.encode()).hexdigest()
