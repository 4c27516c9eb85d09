"""What an annotator agrees to before the first piece: which version is due, and which was agreed to."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from annotation import prepared
from annotation.models import Acceptance, Project, Terms, User

# Asked before every piece.
DUE = prepared.Records(
    lambda project, user: Terms.objects.filter(
        ~Exists(Acceptance.objects.filter(terms=OuterRef("pk"), user=user)),
        pk=Terms.objects.filter(project=project).order_by("-version").values("pk")[:1],
    )
)

# The latest version that somebody agreed to, for the statement that it is part of.
AGREED = """(
    select terms.id from annotation_terms terms join annotation_acceptance agreed on agreed.terms_id = terms.id
    where terms.project_id = %(project)s and agreed.user_id = %(annotator)s order by terms.version desc limit 1)"""


def due(project: Project, user: User) -> Terms | None:
    """The project's terms in force, if the person has still to agree to them. One query."""
    return DUE.first(project=project.pk, user=user.pk)


def accept(terms: Terms, user: User) -> None:
    """The person agrees. Saying so twice changes nothing."""
    Acceptance.objects.get_or_create(terms=terms, user=user)
