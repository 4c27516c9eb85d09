"""Models on their way to the Hugging Face hub."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from training.models.artifacts import Policy, RewardModel


class PushState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class Push(models.Model):
    """A model's folder as it is to stand on the hub (training.pushing)."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reward_model = models.ForeignKey(
        RewardModel, on_delete=models.PROTECT, null=True, blank=True, related_name="pushes"
    )
    repository = models.CharField(_("name on the hub"), max_length=200)
    public = models.BooleanField(_("everybody may read it"), default=False)
    state = models.CharField(_("state"), max_length=7, choices=PushState, default=PushState.WAITING)
    error = models.TextField(_("reason of failure"), blank=True)
    url = models.CharField(max_length=400, blank=True)
    commit = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("push to the hub")
        verbose_name_plural = _("pushes to the hub")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                name="push_of_one_model",
                condition=models.Q(policy=None, reward_model__isnull=False)
                | models.Q(policy__isnull=False, reward_model=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.repository} · {self.pk}"

    @property
    def model(self) -> Policy | RewardModel:
        model = self.policy or self.reward_model
        assert model is not None  # noqa: S101 - the database sees to it
        return model
