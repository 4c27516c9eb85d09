"""What reviewers decided, and the log of all that people changed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project
from annotation.models.texts import Demonstration, Prompt, ReviewState
from annotation.models.work import Ranking


class WorkKind(models.TextChoices):
    """What is reviewed. The values name the fields of Review."""

    PROMPT = "prompt", _("instructions")
    DEMONSTRATION = "demonstration", _("answers")
    RANKING = "ranking", _("rankings")


class Review(models.Model):
    """One decision about one piece of work. All are kept; the newest says how the piece stands, and why.

    Decisions made at once share a `batch` and are undone at once; `undoes` names the batch that was taken back.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reviews")
    batch = models.UUIDField(db_index=True)
    undoes = models.UUIDField(null=True, blank=True)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, null=True, blank=True, related_name="reviews")
    demonstration = models.ForeignKey(
        Demonstration, on_delete=models.CASCADE, null=True, blank=True, related_name="reviews"
    )
    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, null=True, blank=True, related_name="reviews")
    state = models.CharField(_("state"), max_length=8, choices=ReviewState)
    previous = models.CharField(_("state before"), max_length=8, choices=ReviewState)
    reason = models.TextField(_("reason"), blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="reviews")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                name="review_of_one_piece",
                condition=Q(prompt__isnull=False, demonstration=None, ranking=None)
                | Q(prompt=None, demonstration__isnull=False, ranking=None)
                | Q(prompt=None, demonstration=None, ranking__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.state} by {self.reviewer}"


class AuditEntry(models.Model):
    """Something that a person changed. The database refuses to change or delete an entry (migration 0005).

    Ids are kept and not references, so that an entry outlives its person and its project.
    """

    at = models.DateTimeField(_("when"), db_default=Now())
    actor_id = models.BigIntegerField(_("who"), null=True, blank=True)
    project_id = models.BigIntegerField(_("project"), null=True, blank=True)
    action = models.CharField(_("what"), max_length=40)
    details = models.JSONField(_("details"), default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes: ClassVar[list[Any]] = [models.Index(name="audit_of_project", fields=["project_id", "-id"])]

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"
