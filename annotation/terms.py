"""What an annotator agrees to before the first piece: which version is due, and which was agreed to."""

from __future__ import annotations

from annotation.models import Acceptance, Project, Terms, User

# Asked before every piece.
DUE = """
select current.* from (
    select * from annotation_terms where project_id = %(project)s order by version desc limit 1) current
where not exists (
    select from annotation_acceptance where terms_id = current.id and user_id = %(user)s)
"""

# The latest version that somebody agreed to, for the statement that it is part of.
AGREED = """(
    select terms.id from annotation_terms terms join annotation_acceptance agreed on agreed.terms_id = terms.id
    where terms.project_id = %(project)s and agreed.user_id = %(annotator)s order by terms.version desc limit 1)"""


def due(project: Project, user: User) -> Terms | None:
    """The project's terms in force, if the person has still to agree to them. One query."""
    return next(iter(Terms.objects.raw(DUE, {"project": project.pk, "user": user.pk})), None)


def accept(terms: Terms, user: User) -> None:
    """The person agrees. Saying so twice changes nothing."""
    Acceptance.objects.get_or_create(terms=terms, user=user)
