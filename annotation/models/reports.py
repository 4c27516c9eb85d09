"""Figures that take long to make, kept for whoever looks at them next."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project


class ReportKind(models.TextChoices):
    QUALITY = "quality", _("quality")
    LEADERBOARD = "leaderboard", _("leaderboard")


class ReportQuerySet(models.QuerySet["Report"]):
    def waiting(self) -> ReportQuerySet:
        """Those that a worker is to make."""
        return self.exclude(asked_at=None)


class Report(models.Model):
    """The answer to one question about a project's work, as of `made_at` (annotation.reports).

    `question` is what is left out, or looked at alone; {} is everything. While `asked_at` is set, a worker is to make
    it, anew where there are figures already. `begun`: how often one has set about it since. `standing` is what the
    project had when it was made.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reports")
    kind = models.CharField(max_length=11, choices=ReportKind)
    question = models.JSONField(default=dict)
    figures = models.JSONField(null=True)
    standing = models.JSONField(default=dict)
    made_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    begun = models.PositiveSmallIntegerField(default=0)
    failure = models.TextField(blank=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="report_once", fields=["project", "kind", "question"])
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(name="report_waiting", fields=["id"], condition=Q(asked_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.project}"

    @property
    def is_waiting(self) -> bool:
        return self.asked_at is not None
