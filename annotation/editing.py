"""Changes to one's own submitted work: open until it is reviewed, in a frozen dataset, or others build on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from django.db import connection, transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import adding
from annotation.models import (
    Assignment,
    AssignmentState,
    Completion,
    Demonstration,
    Item,
    ItemKind,
    Project,
    Prompt,
    Ranking,
    ReviewState,
)
from annotation.refusals import Refused

Work = Prompt | Demonstration | Ranking
Record = TypeVar("Record", Prompt, Demonstration, Ranking)

RECORDS: dict[str, type[Work]] = {
    ItemKind.INSTRUCTION: Prompt,
    ItemKind.DEMONSTRATION: Demonstration,
    ItemKind.RANKING: Ranking,
}


FREEZE_LOCK = 0x4652  # the first of two; the second is the project


@contextmanager
def closed(project: Project) -> Iterator[None]:
    """What was submitted until now stays as it is from here on: it is being written into a dataset.

    Edits and withdrawals under way are waited for. Where the dataset comes to nothing, edits are open as before.
    """
    own = Project.objects.filter(pk=project.pk)
    _lock("pg_advisory_lock", project)
    try:
        before = own.values_list("frozen_at", flat=True).get()
        own.update(frozen_at=Now())
        try:
            yield
        except BaseException:
            own.update(frozen_at=before)
            raise
    finally:
        _lock("pg_advisory_unlock", project)


def wait_for_datasets(project: Project) -> None:
    """Until the transaction ends, no dataset is made of the project: one under way is waited for."""
    _lock("pg_advisory_xact_lock", project)


def _lock(function: str, project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"select {function}(%s, %s)", [FREEZE_LOCK, project.pk])


def record_of(assignment: Assignment) -> Work | None:
    """What was submitted for the piece."""
    return cast("Work | None", RECORDS[assignment.item.kind]._default_manager.filter(assignment=assignment).first())


def why_closed(record: Work, project: Project) -> str:
    """Why a submitted piece can't be changed any more; nothing where it can."""
    if why := settled(record, project):
        return why
    if isinstance(record, Prompt) and _is_built_on(record):
        return _("Others work with it already, so it can't be changed any more.")
    return ""


def settled(record: Work, project: Project) -> str:
    """The same as far as the record itself tells. No query."""
    if record.review != ReviewState.PENDING:
        return _("It has been reviewed, so it can't be changed any more.")
    if project.frozen_at and record.created_at <= project.frozen_at:
        return _("It is part of a dataset by now, so it can't be changed any more.")
    return ""


@transaction.atomic
def replace(assignment: Assignment, model: type[Record], content: Mapping[str, Any]) -> Record:
    """Put `content` in the place of what was submitted. The project's lock makes edits and a freeze wait in turn."""
    project = Project.objects.select_for_update(no_key=True).get(pk=assignment.item.project_id)
    record = model._default_manager.select_for_update().filter(assignment=assignment).first()
    if record is None:
        raise Refused(_("You have not submitted this piece yet."))
    if all(getattr(record, name) == value for name, value in content.items()):
        return record
    if isinstance(record, Prompt):
        list(Item.objects.select_for_update().filter(prompt=record).order_by("pk"))
    if why := why_closed(record, project):
        raise Refused(why)
    if isinstance(record, Prompt):
        adding.reword(record, content)
    else:
        for name, value in content.items():
            setattr(record, name, value)
    record.edited_at = timezone.now()
    cast(Model, record).save()
    return record


def _is_built_on(prompt: Prompt) -> bool:
    taken = Assignment.objects.filter(item__prompt=prompt).exclude(state=AssignmentState.SKIPPED)
    built: tuple[type[Model], ...] = (Completion, Demonstration, Ranking)
    return taken.exists() or any(model._default_manager.filter(prompt=prompt).exists() for model in built)
