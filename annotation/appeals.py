"""An annotator's objection to a rejection, and a reviewer's answer to it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import editing, reviewing
from annotation.models import Appeal, AppealState, Assignment, Project, ReviewState, User
from annotation.refusals import Refused
from annotation.wording import cleaned

LONGEST = 4_000


def appeal(assignment: Assignment, *, text: str) -> Appeal:
    """Object to the rejection of one's work; once a piece. Sent again, the first stands."""
    record = editing.record_of(assignment)
    if record is None or record.review != ReviewState.REJECTED:
        raise Refused(_("This work is not rejected, so there is nothing to appeal against."))
    made, _new = Appeal.objects.get_or_create(assignment=assignment, defaults={"text": cleaned(text, longest=LONGEST)})
    return made


def waiting(project: Project, reviewer: User) -> QuerySet[Appeal]:
    """Appeals that the person may answer, the oldest first: never about their own work."""
    open_ = Appeal.objects.filter(assignment__item__project=project, state=AppealState.OPEN)
    return open_.exclude(assignment__annotator=reviewer).select_related(
        "assignment__item__project", "assignment__annotator"
    )


@transaction.atomic
def answer(appeal: Appeal, *, reviewer: User, grant: bool, text: str = "") -> None:
    """Grant it, which accepts the work, or dismiss it with a reason."""
    current = Appeal.objects.select_for_update().get(pk=appeal.pk)
    if current.state != AppealState.OPEN:
        raise Refused(_("This appeal has been answered already."))
    if not grant:
        text = cleaned(text, longest=LONGEST)
    record = editing.record_of(appeal.assignment)
    if grant and record is not None:
        kind = next(kind for kind, model in reviewing.MODELS.items() if isinstance(record, model))
        reviewing.decide(
            appeal.assignment.item.project, reviewer=reviewer, kind=kind, pieces=[record.pk], state=ReviewState.ACCEPTED
        )
    current.state = AppealState.GRANTED if grant else AppealState.DISMISSED
    current.answer, current.answered_by, current.answered_at = text.strip(), reviewer, timezone.now()
    current.save()
