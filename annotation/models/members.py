"""How people come into a project, and what they are paid."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.people import User, digest
from annotation.models.projects import Project, Role


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        """Those that still let somebody in."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("max_uses"))

    def matching(self, secret: str) -> Invitation | None:
        return self.open().filter(digest=digest(secret)).select_related("project").first()


class Invitation(models.Model):
    """A link that makes whoever follows it a member. Only its hash is stored; the link is shown once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    name = models.CharField(_("for whom"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    roles = ArrayField(models.CharField(max_length=12, choices=Role), verbose_name=_("roles"))
    languages = ArrayField(models.CharField(max_length=12), verbose_name=_("languages"), default=list, blank=True)
    max_uses = models.PositiveSmallIntegerField(_("people it lets in"), default=1)
    uses = models.PositiveSmallIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(name="invitation_not_used_too_often", condition=Q(uses__lte=F("max_uses"))),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.project})"

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now() and self.uses < self.max_uses

    @classmethod
    def issue(cls, project: Project, *, lifetime: timedelta, **values: Any) -> tuple[Invitation, str]:
        """A new invitation and its secret, which can't be read again."""
        secret = secrets.token_urlsafe(24)
        expires_at = timezone.now() + lifetime
        return cls.objects.create(project=project, digest=digest(secret), expires_at=expires_at, **values), secret


class PaidPer(models.TextChoices):
    HOUR = "hour", _("per hour")
    PIECE = "piece", _("per piece")


class PayRate(models.Model):
    """What a person is paid in a project for work from a day on, in the project's currency.

    Kept by person and not by membership: who has left is still paid for what they did.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pay_rates")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="pay_rates")
    amount = models.DecimalField(_("rate"), max_digits=10, decimal_places=4, validators=[MinValueValidator(0)])
    per = models.CharField(_("paid"), max_length=5, choices=PaidPer, default=PaidPer.HOUR)
    since = models.DateField(_("from day"))

    class Meta:
        ordering: ClassVar = ["project", "user", "since"]
        verbose_name = _("rate of pay")
        verbose_name_plural = _("rates of pay")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="one_rate_a_day", fields=["project", "user", "since"]),
            models.CheckConstraint(name="rate_not_negative", condition=Q(amount__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.get_per_display()}"
