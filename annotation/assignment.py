"""Leases: who works on what, for how long. A lease is taken, given back or let run out by a single SQL statement each.

A slot of an item is free or held by one live assignment. Every change of `Item.open_slots` is made from here, but for
those of pieces that end (annotation.closing) and of sets that measure people (annotation.screening).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from psycopg.errors import DeadlockDetected, UniqueViolation

from annotation import audit, daily_cap, measuring, prepared
from annotation import statements as sql
from annotation.models import Assignment, AssignmentState, ItemKind, Project, SkipReason, User

ATTEMPTS = 5
NEAR = 100  # the open pieces of a kind and language, from the first on, that everybody who asks is looked for among

SWEEP_LOCK = 0x504C554D42  # any number that no other advisory lock of ours uses
INSTRUCTIONS_LOCK = 0x494E  # the first of two; the second is the project

TAKEN = prepared.Records(lambda pk: Assignment.objects.select_related("item__prompt", "guidelines").filter(pk=pk))


class Finish(Enum):
    COUNTED = auto()
    ALREADY = auto()
    TOO_LATE = auto()


def take(
    project: Project, annotator: User, *, kinds: Sequence[ItemKind] | None = None, after: Assignment | None = None
) -> Assignment | None:
    """The next piece for this person, loaded whole: what they hold already, else the most urgent, oldest open piece.

    With `after`, a piece they are at: the one they hold beside it, so that it can be loaded before it is needed.

    Never their own prompt, a language they don't read, what may be harmful unless they agreed to see it, or a piece
    that they did or skipped, and no more in a day than their cap. What they let run out
    comes back to them with its draft while a slot is free. None if there is nothing: `empty_queue.why` says why.

    Whoever is through with the first open pieces, which wait for others, goes on from the place that they got to; what
    opens again behind it comes to them once nothing lies ahead. So taking costs the same however much they did.
    """
    if project.archived_at is not None:
        return None
    wanted = list(kinds or ItemKind)
    asked = {
        "project": project.pk, "annotator": annotator.pk, "languages": project.languages,
        "kinds": [str(kind) for kind in wanted], "lease": timedelta(minutes=project.lease_minutes),
        "after": after.pk if after else None, "purposes": measuring.purposes(project), "near": NEAR,
    }  # fmt: skip
    repeats = ItemKind.RANKING in wanted and measuring.drawn(project.repeat_share)
    found = (_lease(measuring.REPEAT, asked) if repeats else None) or _lease(sql.TAKE, asked)
    found = found or _lease(sql.TAKE_FARTHER, asked)
    if found is None and daily_cap.is_reached(project, annotator):
        return None
    if found is None and ItemKind.INSTRUCTION in wanted and project.instructions_wanted:
        found = _make_instruction(asked | {"wanted": project.instructions_wanted, "language": project.languages[0]})
    if found is None:
        release_expired()
        found = _lease(sql.TAKE_PATIENTLY, asked)
    return None if found is None else _loaded(found, project)


def _loaded(pk: int, project: Project) -> Assignment:
    """Whole; the project is the one that the caller has."""
    [assignment] = TAKEN.all(pk=pk)
    assignment.item.project = project
    return assignment


def _lease(statement: str, asked: dict[str, Any]) -> int | None:
    """Two requests of one person at once may choose the same piece: one has it, the other looks again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                return next((row[0] for row in prepared.rows(statement, asked)), None)
        except DatabaseError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, (UniqueViolation, DeadlockDetected)):
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _make_instruction(asked: dict[str, Any]) -> int | None:
    _scalar("select 1 from pg_advisory_xact_lock(%(lock)s, %(project)s)", asked | {"lock": INSTRUCTIONS_LOCK})
    return _scalar(sql.MAKE_INSTRUCTION, asked)


def heartbeat(assignment: Assignment) -> None:
    """The person is still at it: the lease starts anew. Nothing happens if it has ended meanwhile."""
    lease = timedelta(minutes=assignment.item.project.lease_minutes)
    Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED).update(lease_expires_at=Now() + lease)


@transaction.atomic
def skip(assignment: Assignment, *, reason: SkipReason) -> None:
    """Give the piece back for others. It doesn't come to this person again. Nothing happens if the lease has ended."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_LEASE, {"assignment": assignment.pk})
        cursor.execute(sql.SKIP, {"assignment": assignment.pk, "reason": str(reason)})


@transaction.atomic
def undo_skip(assignment: Assignment) -> bool:
    """Hand a skipped piece back to the person who skipped it, with its draft. False where others hold it by now."""
    own = Assignment.objects.filter(pk=assignment.pk)
    current = own.select_for_update(of=("self",)).select_related("item__project").get()
    if current.state != AssignmentState.SKIPPED:
        return current.state == AssignmentState.LEASED
    regained = _regained(current)
    if regained is None:
        return False
    lease = timedelta(minutes=current.item.project.lease_minutes)
    again = {"state": AssignmentState.LEASED, "skip_reason": "", "finished_at": None}
    own.update(**regained, lease_expires_at=Now() + lease, **again)
    return True


@transaction.atomic
def release_expired() -> int:
    """Give the slots of leases that ran out back to the queue; how many there were."""
    return len(_release(sql.LOCK_EXPIRED, {}))


def replace(assignments: Collection[int]) -> None:
    """Ask others for an answer in the place of each of these, which were rejected."""
    with connection.cursor() as cursor:
        cursor.execute(sql.REPLACE, {"assignments": list(assignments)})


@transaction.atomic
def keep(assignments: Collection[int]) -> None:
    """Undo `replace`: nobody is asked any more for an answer in the place of these, unless somebody is at it."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_ITEMS, {"assignments": list(assignments)})
        cursor.executemany(sql.KEEP, [{"assignment": assignment} for assignment in assignments])


def close(prompts: Collection[int]) -> None:
    """Ask nobody any more about these instructions, which were rejected. Who is at one of them may finish."""
    with connection.cursor() as cursor:
        cursor.execute(sql.CLOSE, {"prompts": list(prompts)})


@transaction.atomic
def reopen(prompts: Collection[int]) -> None:
    """Undo `close`."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_LEASES, {"prompts": list(prompts)})
        cursor.execute(sql.OPEN, {"prompts": list(prompts)})


def withhold(items: Collection[int]) -> None:
    """Ask nobody any more about these pieces. Who is at one of them may finish."""
    with connection.cursor() as cursor:
        cursor.execute(sql.WITHHOLD, {"items": list(items)})


def ask_again(items: Collection[int]) -> None:
    """Undo `withhold`."""
    with connection.cursor() as cursor:
        cursor.execute(sql.ASK_AGAIN, {"items": list(items)})


@transaction.atomic
def release(project: Project, assignments: Iterable[int], *, by: User) -> int:
    """Give pieces that people hold back to the queue, as if their time had run out; how many there were.

    Nobody loses anything: the draft stays, and a submit still counts while a slot is free. One that is just being
    submitted is left.
    """
    released = _release_named(project, assignments)
    if released:
        audit.record(audit.Action.RELEASED, actor=by, project=project, ids=released)
    return len(released)


@transaction.atomic
def put_back(project: Project, annotator: User) -> int:
    """Give all that somebody has in hand back to the queue, to take up something else; how many pieces there were.

    That is no skip: a piece may come to them again, with its draft.
    """
    held = Assignment.objects.filter(item__project=project, annotator=annotator, state=AssignmentState.LEASED)
    return len(_release_named(project, held.values_list("pk", flat=True)))


def _release_named(project: Project, assignments: Iterable[int]) -> list[int]:
    _scalar("select 1 from pg_advisory_xact_lock(%(sweep)s)", {"sweep": SWEEP_LOCK})
    return _release(sql.LOCK_NAMED, {"assignments": list(assignments), "project": project.pk})


def _release(lock: str, asked: dict[str, Any]) -> list[int]:
    leases = [row[0] for row in _rows(lock, asked | {"sweep": SWEEP_LOCK})]
    if leases:
        with connection.cursor() as cursor:
            cursor.execute(sql.RELEASE, {"leases": leases})
    return leases


def finish(
    assignment: Assignment, *, client_key: UUID, spent: float | None = None, pasted: float | None = None
) -> Finish:
    """Mark the piece done, in the transaction that writes its record, with the terms agreed to and the seconds spent.

    A lease that ran out or was given back counts all the same where its item still has a free slot.
    """
    done = {
        "assignment": assignment.pk, "project": assignment.item.project_id, "annotator": assignment.annotator_id,
        "client_key": client_key, "seconds": _counted(assignment, spent), "pasted": pasted,
    }  # fmt: skip
    if prepared.rows(sql.FINISH, done | {"slot": None, "regained": False}):
        return Finish.COUNTED
    current = Assignment.objects.select_for_update(of=("self",)).select_related("item").get(pk=assignment.pk)
    if current.state == AssignmentState.SUBMITTED:
        return Finish.ALREADY
    regained = _regained(current)
    if regained is None:
        return Finish.TOO_LATE
    prepared.rows(sql.FINISH, done | regained | {"regained": True})
    return Finish.COUNTED


def _counted(assignment: Assignment, spent: float | None) -> float | None:
    """The seconds that the page says were spent: never more than have passed since the piece was taken."""
    if spent is None or not 0 <= spent < math.inf:
        return None
    return min(spent, (timezone.now() - assignment.leased_at).total_seconds())


def _regained(assignment: Assignment) -> dict[str, int | None] | None:
    """A slot of the item for somebody who held one before. An instruction piece, or one without, is theirs alone."""
    if assignment.state == AssignmentState.WITHDRAWN:
        return None
    if assignment.item.kind == ItemKind.INSTRUCTION or assignment.slot is None:
        return {"slot": assignment.slot}
    slot = _scalar(sql.REGAIN, {"item": assignment.item_id})
    return None if slot is None else {"slot": slot}


def _scalar(sql: str, values: dict[str, Any]) -> int | None:
    return next((row[0] for row in _rows(sql, values)), None)


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
