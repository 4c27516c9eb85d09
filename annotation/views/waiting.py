"""What waits in a project, and what a person has in hand there."""

from __future__ import annotations

from annotation.models import Assignment, AssignmentState, ItemKind, Project, User
from annotation.progress import Progress


def waiting(progress: Progress) -> list[tuple[ItemKind, int]]:
    """The kinds of work that wait, with how many pieces."""
    return [(kind, progress.open[kind]) for kind in ItemKind if progress.open[kind]]


def held_by(user: User, project: Project) -> Assignment | None:
    """The piece that the person has in hand."""
    mine = Assignment.objects.whole().filter(annotator=user, item__project=project, state=AssignmentState.LEASED)
    return mine.order_by("pk").first()
