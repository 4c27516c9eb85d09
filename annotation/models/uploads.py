"""Files on their way into a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project

SMALL = 1_000_000  # bytes


class UploadState(models.TextChoices):
    RECEIVED = "received", _("is looked through")
    CHECKED = "checked", _("waits for your word")
    CONFIRMED = "confirmed", _("is imported")
    DONE = "done", _("imported")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")


WAITING = (UploadState.RECEIVED, UploadState.CONFIRMED)
BROKEN_OFF = (UploadState.STOPPED, UploadState.FAILED)


class UploadQuerySet(models.QuerySet["Upload"]):
    def waiting(self) -> UploadQuerySet:
        """Those on which there is something to do for the server."""
        return self.filter(state__in=WAITING)

    def resting(self) -> UploadQuerySet:
        """Those that wait for the word of a person."""
        return self.filter(state__in=[UploadState.CHECKED, *BROKEN_OFF])


class Upload(models.Model):
    """A file that an admin brought: first looked through, then, if they say so, imported (annotation.uploads).

    `good` and `bad` are lines as they were understood, with a `sample` of the first; `rows` came in of them, `repeats`
    were there before. `errors` are (line, reason) of the first bad lines. The file is kept until it is imported; of one
    that was stopped in the middle `rows` stayed, and are among those of the pass that was begun after it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(_("kind"), max_length=14)
    name = models.CharField(_("file"), max_length=200)
    size = models.BigIntegerField(_("bytes"))
    state = models.CharField(_("state"), max_length=9, choices=UploadState, default=UploadState.RECEIVED)
    keep_good = models.BooleanField(
        null=True, help_text=_("Whether good lines come in although others are bad; empty: nobody has decided yet.")
    )
    good = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    language = models.CharField(max_length=12, help_text=_("Of those who read the reasons."))
    sample = models.JSONField(default=list)
    rows = models.PositiveIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list)
    failure = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes: ClassVar[list[Any]] = [
            models.Index(name="upload_waiting", fields=["id"], condition=Q(state__in=[str(state) for state in WAITING]))
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"

    @property
    def path(self) -> Path:
        """Where the file lies. It is named by us: what the sender called it never becomes a path."""
        return Path(settings.DATA) / "imports" / str(self.pk)

    @property
    def is_small(self) -> bool:
        """Worked through in a few seconds. Parquet is packed, to a tenth or so."""
        return self.size <= (SMALL // 10 if self.name.lower().endswith(".parquet") else SMALL)

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    @property
    def is_broken_off(self) -> bool:
        return self.state in BROKEN_OFF
