"""The audit log: what people changed in data and settings. Entries are only ever added; the database sees to that."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import AuditEntry, Project, User

# What other applications record, which say so as they start: each action's label and the sentence of its details.
OTHERS: dict[str, tuple[Any, Any]] = {}
# And what they call the kinds of rows that stand in the details.
KINDS: dict[str, Any] = {}


class Action(models.TextChoices):
    """The actions of the collecting side."""

    REVIEWED = "reviewed", _("reviewed work")
    REVIEW_UNDONE = "review_undone", _("took a review back")
    PROJECT_CREATED = "project_created", _("created the project")
    PROJECT_COPIED = "project_copied", _("created the project as a copy")
    PROJECT_ARCHIVED = "project_archived", _("archived the project")
    PROJECT_REOPENED = "project_reopened", _("took the project out of the archive")
    SETTINGS_CHANGED = "settings_changed", _("changed settings")
    GUIDELINES_PUBLISHED = "guidelines_published", _("published guidelines")
    TERMS_PUBLISHED = "terms_published", _("published terms")
    INVITED = "invited", _("made an invitation")
    INVITATION_REVOKED = "invitation_revoked", _("revoked an invitation")
    JOINED = "joined", _("joined by an invitation")
    MEMBER_ADDED = "member_added", _("added a member")
    MEMBER_REMOVED = "member_removed", _("removed a member")
    MEMBER_CHANGED = "member_changed", _("changed a member's work")
    RATE_SET = "rate_set", _("set a rate of pay")
    RELEASED = "released", _("gave work back")
    IMPORTED = "imported", _("imported data")
    EXPORTED = "exported", _("exported data")
    TOKEN_MADE = "token_made", _("made an API token")
    TOKEN_REVOKED = "token_revoked", _("revoked an API token")
    SIGNED_IN = "signed_in", _("signed in")
    SIGN_IN_FAILED = "sign_in_failed", _("failed to sign in")
    SIGNED_OUT = "signed_out", _("signed out")
    SECOND_FACTOR_CHANGED = "second_factor_changed", _("changed the second factor")
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
