"""People and the tokens their scripts sign in with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

TOKEN_PREFIX = "plumb_"  # noqa: S105 (a marker that lets secret scanners find leaked tokens, not a secret)
SESSION_SALT = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
NOTED_EVERY = timedelta(minutes=1)


class User(AbstractUser):
    """Somebody who signs in. What they may do is told by their memberships (annotation.access)."""

    shortcuts = models.JSONField(
        _("keys"),
        default=dict,
        blank=True,
        help_text=_("Keys for ranking that the person chose (annotation.shortcuts)."),
    )

    second_factor_changes = models.PositiveIntegerField(default=0, editable=False)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Of the password, as in Django, and of the second factor: when either changes, other sessions end."""
        kept = self.password + (f":{self.second_factor_changes}" if self.second_factor_changes else "")
        return salted_hmac(SESSION_SALT, kept, secret=secret, algorithm="sha256").hexdigest()

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")


class Scope(models.TextChoices):
    """What a token may be used for, of what its owner may do."""

    READ = "read", _("read and export")
    ANNOTATE = "annotate", _("take work and submit it")
    ADMIN = "admin", _("review, import, and run projects")
    TRAIN = "train", _("start rounds and run models")


def every_scope() -> list[str]:
    return list(Scope.values)


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> ApiTokenQuerySet:
        return self.filter(expires_at__gt=timezone.now(), user__is_active=True)

    def matching(self, secret: str) -> ApiToken | None:
        return self.valid().filter(digest=digest(secret)).select_related("user").first()


class ApiToken(models.Model):
    """A bearer token. Only its hash is stored; the secret is shown once, when it is made.

    `last_used_at` is true to a minute.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    scopes = ArrayField(models.CharField(max_length=8, choices=Scope), verbose_name=_("for"), default=every_scope)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)

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

    @property
    def scope_labels(self) -> list[str]:
        return [str(Scope(scope).label) for scope in self.scopes]

    def is_used(self) -> None:
        """Note it, once a minute."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > NOTED_EVERY:
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=now)

    @classmethod
    def issue(
        cls, user: User, *, name: str, lifetime: timedelta, scopes: Collection[str] = tuple(Scope.values)
    ) -> tuple[ApiToken, str]:
        """A new token, for all that its owner may do or for less, and its secret, which can't be read again."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        expires_at: datetime = timezone.now() + lifetime
        chosen = [scope for scope in Scope.values if scope in scopes]
        token = cls.objects.create(user=user, name=name, digest=digest(secret), expires_at=expires_at, scopes=chosen)
        return token, secret


def digest(secret: str) -> str:
    """The stored form of a token: it is random and long, so a plain hash is enough and lookups stay one index read."""
    return hashlib.sha256(secret.encode()).hexdigest()
