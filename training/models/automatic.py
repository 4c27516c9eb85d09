"""When a project's rounds start by themselves, and why the last look started none."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import Project


class Pause(models.TextChoices):
    """What keeps rounds from starting until a person has looked."""

    AGREEMENT = "agreement", _("People agree less than the bar in what is new.")
    ENDED_BADLY = "ended_badly", _("The last round failed or was cancelled: start the next one yourself.")
    REFUSED = "refused", _("The round was refused:")


class AutomaticRounds(models.Model):
    """`rankings`, `demonstrations`: so many new ones start a round, whichever come first; None: they start none."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="automatic_rounds")
    is_on = models.BooleanField(_("start rounds automatically"), default=False)
    rankings = models.PositiveIntegerField(
        _("new rankings that start a round"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    demonstrations = models.PositiveIntegerField(
        _("new answers that start a round"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    hours = models.PositiveSmallIntegerField(
        _("hours between two rounds, at least"), default=24, help_text=_("From start to start.")
    )
    agreement = models.PositiveSmallIntegerField(
        _("least agreement, in percent"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_(
            "Where two people who ranked the same new outputs agree on fewer pairs, no round starts. Empty: no bar."
        ),
    )
    pause = models.CharField(max_length=11, choices=Pause, blank=True)
    refusal = models.TextField(blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("automatic rounds")
        verbose_name_plural = _("automatic rounds")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                name="automatic_rounds_wait_for_something",
                condition=models.Q(is_on=False)
                | models.Q(rankings__isnull=False)
                | models.Q(demonstrations__isnull=False),
                violation_error_message=_("Say how many new rankings or answers start a round."),
            )
        ]

    def __str__(self) -> str:
        return str(self.project)
