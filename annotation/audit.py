"""The audit log: what people changed in data and settings. Entries are only ever added; the database sees to that."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import AuditEntry, Project, User


class Action(models.TextChoices):
    """The actions of the collecting side. Others may record names of their own."""

    REVIEWED = "reviewed", _("reviewed work")
    REVIEW_UNDONE = "review_undone", _("took a review back")
    MEMBER_ADDED = "member_added", _("added a member")
    MEMBER_REMOVED = "member_removed", _("removed a member")
    IMPORTED = "imported", _("imported data")
    EXPORTED = "exported", _("exported data")
    TOKEN_MADE = "token_made", _("made an API token")
    TOKEN_REVOKED = "token_revoked", _("revoked an API token")
    SCREENED = "screened", _("changed the screening")
    WITHDRAWN = "withdrawn", _("withdrew data")
    ERASED = "erased", _("erased a person's data")
    ADMINISTERED = "administered", _("changed in the administration")


def record(action: str, *, actor: User | None, project: Project | None = None, **details: Any) -> AuditEntry:
    """Add an entry, in the transaction that makes the change.

    `details` are for JSON: numbers and choices, never what somebody wrote or is called, as nothing is erased here.
    """
    return AuditEntry.objects.create(
        action=str(action),
        actor_id=None if actor is None else actor.pk,
        project_id=None if project is None else project.pk,
        details=details,
    )
