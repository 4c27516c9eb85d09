"""What an annotator agrees to before the first piece: which version is due, and which was agreed to."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Subquery

from annotation.models import Acceptance, Project, Terms, User


def due(project: Project, user: User) -> Terms | None:
    """The project's terms in force, if the person has still to agree to them. One query."""
    accepted = Exists(Acceptance.objects.filter(terms=OuterRef("pk"), user=user))
    current = Terms.objects.filter(project=project).order_by("-version").annotate(accepted=accepted).first()
    return None if current is None or current.accepted else current


def accept(terms: Terms, user: User) -> None:
    """The person agrees. Saying so twice changes nothing."""
    Acceptance.objects.get_or_create(terms=terms, user=user)


def agreed(project_id: int, user_id: int) -> Subquery:
    """The latest version that the person agreed to, to be written by the statement that it is part of."""
    versions = Terms.objects.filter(project=project_id, acceptances__user=user_id).order_by("-version")
    return Subquery(versions.values("pk")[:1])
