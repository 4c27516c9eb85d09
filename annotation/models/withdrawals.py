"""What people took back: the numbers of the records that are gone, and of nothing else."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project


def ids() -> Any:
    return ArrayField(models.BigIntegerField(), default=list, blank=True)


class Withdrawal(models.Model):
    """Records that were removed at somebody's wish, so that whatever was made of them can be found.

    An erasure names what the person had withdrawn before as well, and no longer names the person.
    """

    KINDS: ClassVar = ("prompts", "demonstrations", "rankings", "completions")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="withdrawals")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="withdrawals"
    )
    erased = models.BooleanField(_("erased"), default=False, help_text=_("From the files of datasets too."))
    prompts = ids()
    demonstrations = ids()
    rankings = ids()
    completions = ids()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("withdrawal")
        verbose_name_plural = _("withdrawals")

    def __str__(self) -> str:
        return f"{self.project}: {', '.join(f'{count} {kind}' for kind, count in self.counts().items())}"

    def counts(self) -> dict[str, int]:
        return {kind: len(getattr(self, kind)) for kind in self.KINDS}
