"""Leases: who works on what, for how long. A lease is taken, given back or let run out by single SQL statements.

A slot of an item is free or held by one live assignment. Every change of `Item.open_slots` is here, but for those of
pieces that end (annotation.closing) and of sets that measure people (annotation.screening).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, Min, OuterRef
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg.errors import DeadlockDetected, UniqueViolation

from annotation import measuring, terms
from annotation.models import (
    Assignment,
    AssignmentState,
    Item,
    ItemKind,
    Membership,
    Project,
    Role,
    SkipReason,
    User,
)

ATTEMPTS = 5

# One statement. `held` gives back what the person has in work; else `fronts` looks at the first open piece of each kind
# and language, the possibly harmful apart and only for those who agreed, and `candidate` locks one piece, stepping over
# those that others are locking at this moment. The slot is
# read from the locked row, so it is current even where somebody took another slot of it a moment ago. That the person
# has not done a piece is asked of one index entry a piece: a join might read all that they ever did. Before these comes
# what is outside the slots (`aside`): the few sets that a researcher has answered for the purposes asked for.
TAKE = """
with held as (
    update annotation_assignment set lease_expires_at = now() + %(lease)s
    where state = 'leased' and id = (
        select assignment.id from annotation_assignment assignment
        join annotation_item item on item.id = assignment.item_id
        where assignment.annotator_id = %(annotator)s and assignment.state = 'leased'
            and item.project_id = %(project)s and item.kind = any(%(kinds)s)
        order by assignment.id limit 1)
    returning *
), aside as (
    select item.id, item.completions from annotation_item item
    where item.project_id = %(project)s and item.purpose <> '' and item.purpose = any(%(purposes)s)
        and item.kind = any(%(kinds)s) and not exists (select from held)
        and item.language = any(coalesce((select nullif(languages, '{}') from annotation_membership
            where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator')::text[], %(languages)s))
        and (not item.harmful or exists (select from annotation_membership
            where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator' and sees_harmful))
        and item.author_id is distinct from %(annotator)s and item.keyed_by_id <> %(annotator)s
        and exists (select from annotation_assignment answer where answer.annotator_id = item.keyed_by_id
            and answer.item_id = item.id and answer.state = 'submitted')
        and (select mine.id from annotation_assignment mine where mine.annotator_id = %(annotator)s
            and mine.item_id = item.id and mine.repeat = 0 and mine.state <> 'expired') is null
    order by item.purpose desc, item.id limit 1
), fronts as (
    select wanted.kind, spoken.language, may.harmful
    from unnest(%(kinds)s::text[]) wanted(kind)
    cross join unnest(coalesce(
        (select nullif(languages, '{}') from annotation_membership
            where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator')::text[],
        %(languages)s::text[])) spoken(language)
    cross join unnest(array(select false union all select true from annotation_membership
        where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator' and sees_harmful))
        may(harmful)
    cross join lateral (
        select item.id, item.priority from annotation_item item
        where item.project_id = %(project)s and item.kind = wanted.kind and item.language = spoken.language
            and item.harmful = may.harmful and not item.open_slots = '{}'
        order by item.priority desc, item.id limit 1) first
    where not exists (select from held)
    order by first.priority desc, first.id
), candidate as (
    select piece.id, piece.slot, piece.completions
    from fronts cross join lateral (
        select item.id, item.open_slots[1] as slot, item.completions from annotation_item item
        where item.project_id = %(project)s and item.kind = fronts.kind and item.language = fronts.language
            and item.harmful = fronts.harmful and not item.open_slots = '{}'
            and item.author_id is distinct from %(annotator)s
            and (select mine.id from annotation_assignment mine
                where mine.annotator_id = %(annotator)s and mine.item_id = item.id
                    and mine.repeat = 0 and mine.state <> 'expired') is null
        order by item.priority desc, item.id limit 1
        for update skip locked) piece
    where not exists (select from aside)
    limit 1
), taken as (
    update annotation_item item set open_slots = array_remove(item.open_slots, candidate.slot)
    from candidate where item.id = candidate.id
    returning item.id, candidate.slot, candidate.completions
), chosen as (
    select id, slot, completions from taken union all select id, null, completions from aside
), resumed as (
    update annotation_assignment assignment
    set state = 'leased', slot = chosen.slot, leased_at = now(), lease_expires_at = now() + %(lease)s
    from chosen
    where assignment.item_id = chosen.id and assignment.annotator_id = %(annotator)s and assignment.state = 'expired'
        and assignment.repeat = 0
    returning assignment.*
), leased as (
    insert into annotation_assignment (item_id, annotator_id, slot, shown, guidelines_id, lease_expires_at)
    select chosen.id, %(annotator)s, chosen.slot,
        array(select id from unnest(chosen.completions) id order by random()),
        (select id from annotation_guidelines where project_id = %(project)s order by version desc limit 1),
        now() + %(lease)s
    from chosen where not exists (select from resumed)
    returning *
)
select id from held union all select id from resumed union all select id from leased
"""

# The same, but waiting for pieces that others are locking: they may leave slots of them free.
TAKE_PATIENTLY = TAKE.replace("for update skip locked", "for update")

# Instruction pieces are made for the person who asks. Callers hold the project's advisory lock, so that pieces in work
# and prompts together do not pass the number wanted.
MAKE_INSTRUCTION = """
with piece as (
    insert into annotation_item (project_id, kind, completions, language, priority, overlap, open_slots, created_at)
    select %(project)s, 'instruction', '{}', %(language)s, 0, 1, '{}', now()
    where %(wanted)s > (
        select count(*) from (select from annotation_prompt where project_id = %(project)s limit %(wanted)s) prompts
    ) + (
        select count(*) from annotation_assignment assignment
        join annotation_item item on item.id = assignment.item_id
        where assignment.state = 'leased' and assignment.lease_expires_at > now()
            and item.project_id = %(project)s and item.kind = 'instruction')
    returning id
)
insert into annotation_assignment (item_id, annotator_id, slot, shown, guidelines_id, lease_expires_at)
select piece.id, %(annotator)s, 1, '{}',
    (select id from annotation_guidelines where project_id = %(project)s order by version desc limit 1),
    now() + %(lease)s
from piece returning id
"""

SKIP = """
with freed as (
    update annotation_assignment set state = 'skipped', skip_reason = %(reason)s, finished_at = now()
    where id = %(assignment)s and state = 'leased' returning item_id, slot
)
update annotation_item item set open_slots = item.open_slots || freed.slot
from freed where item.id = freed.item_id and item.kind <> 'instruction' and freed.slot is not null
"""

# One sweep at a time: two at once could wait for each other's items. Leases that somebody is just submitting are left.
RELEASE = """
with expired as (
    select id from annotation_assignment
    where state = 'leased' and lease_expires_at <= now() and pg_try_advisory_xact_lock(%(sweep)s)
    for update skip locked
), freed as (
    update annotation_assignment assignment set state = 'expired'
    from expired where assignment.id = expired.id returning item_id, slot
), reopened as (
    update annotation_item item set open_slots = item.open_slots || freed.slots
    from (select item_id, array_agg(slot) as slots from freed where slot is not null group by item_id) freed
    where item.id = freed.item_id and item.kind <> 'instruction'
)
select count(*) from freed
"""

REGAIN = """
with free as (
    select id, open_slots[1] as slot from annotation_item where id = %(item)s and not open_slots = '{}' for update
)
update annotation_item item set open_slots = array_remove(item.open_slots, free.slot)
from free where item.id = free.id returning free.slot
"""

SWEEP_LOCK = 0x504C554D42  # any number that no other advisory lock of ours uses
INSTRUCTIONS_LOCK = 0x494E  # the first of two; the second is the project


class Finish(Enum):
    COUNTED = auto()
    ALREADY = auto()
    TOO_LATE = auto()


def take(project: Project, annotator: User, *, kinds: Sequence[ItemKind] | None = None) -> Assignment | None:
    """The next piece for this person, loaded whole: what they hold already, else the most urgent, oldest open piece.

    Never their own prompt, a language they don't read, what may be harmful unless they agreed to see it, or a piece
    that they did or skipped. What they let run out
    comes back to them with its draft while a slot is free. None if there is nothing: `why_empty` says why.
    """
    if project.archived_at is not None:
        return None
    wanted = list(kinds or ItemKind)
    asked = {
        "project": project.pk, "annotator": annotator.pk, "languages": project.languages,
        "kinds": [str(kind) for kind in wanted], "lease": timedelta(minutes=project.lease_minutes),
        "purposes": measuring.purposes(project),
    }  # fmt: skip
    repeats = ItemKind.RANKING in wanted and measuring.drawn(project.repeat_share)
    found = (_lease(measuring.REPEAT, asked) if repeats else None) or _lease(TAKE, asked)
    if found is None and ItemKind.INSTRUCTION in wanted and project.instructions_wanted:
        found = _make_instruction(asked | {"wanted": project.instructions_wanted, "language": project.languages[0]})
    if found is None:
        release_expired()
        found = _lease(TAKE_PATIENTLY, asked)
    return None if found is None else Assignment.objects.whole().get(pk=found)


def _lease(statement: str, asked: dict[str, Any]) -> int | None:
    """Two requests of one person at once may choose the same piece: one has it, the other looks again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                return _scalar(statement, asked)
        except DatabaseError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, (UniqueViolation, DeadlockDetected)):
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _make_instruction(asked: dict[str, Any]) -> int | None:
    _scalar("select 1 from pg_advisory_xact_lock(%(lock)s, %(project)s)", asked | {"lock": INSTRUCTIONS_LOCK})
    return _scalar(MAKE_INSTRUCTION, asked)


def heartbeat(assignment: Assignment) -> None:
    """The person is still at it: the lease starts anew. Nothing happens if it has ended meanwhile."""
    lease = timedelta(minutes=assignment.item.project.lease_minutes)
    Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED).update(lease_expires_at=Now() + lease)


def skip(assignment: Assignment, *, reason: SkipReason) -> None:
    """Give the piece back for others. It doesn't come to this person again. Nothing happens if the lease has ended."""
    with connection.cursor() as cursor:
        cursor.execute(SKIP, {"assignment": assignment.pk, "reason": str(reason)})


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


def release_expired() -> int:
    """Give the slots of leases that ran out back to the queue; how many there were."""
    return _scalar(RELEASE, {"sweep": SWEEP_LOCK}) or 0


def finish(assignment: Assignment, *, client_key: UUID, spent: float | None = None) -> Finish:
    """Mark the piece done, in the transaction that writes its record, with the terms agreed to and the seconds spent.

    A lease that ran out or was given back counts all the same where its item still has a free slot.
    """
    own = Assignment.objects.filter(pk=assignment.pk)
    done = {
        "state": AssignmentState.SUBMITTED, "client_key": client_key, "finished_at": Now(), "draft": {},
        "terms": terms.agreed(assignment.item.project_id, assignment.annotator_id),
        "seconds": _counted(assignment, spent),
    }  # fmt: skip
    if own.filter(state=AssignmentState.LEASED).update(**done):
        return Finish.COUNTED
    current = own.select_for_update(of=("self",)).select_related("item").get()
    if current.state == AssignmentState.SUBMITTED:
        return Finish.ALREADY
    regained = _regained(current)
    if regained is None:
        return Finish.TOO_LATE
    own.update(**regained, skip_reason="", **done)
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
    slot = _scalar(REGAIN, {"item": assignment.item_id})
    return None if slot is None else {"slot": slot}


def why_empty(project: Project, annotator: User) -> str:
    """Why `take` finds nothing for this person, and when to come back."""
    if project.archived_at is not None:
        return _("This project is archived; nothing is collected for it any more.")
    items = Item.objects.filter(project=project).exclude(open_slots=[])
    readable = items.filter(language__in=_languages(project, annotator))
    if not items.exists():
        return _no_open_pieces(project)
    if not readable.exists():
        return _("The pieces that are left are in languages you are not down for.")
    if not _agreed(project, annotator):
        readable = readable.filter(harmful=False)
        if not readable.exists():
            return _("The pieces that are left may be harmful to read. They go only to those who agreed to see such.")
    done = Assignment.objects.filter(annotator=annotator, item=OuterRef("pk"))
    if not readable.exclude(author=annotator).exists():
        return _("The pieces that are left come from your own instructions; others do those.")
    if not readable.filter(~Exists(done)).exists():
        return _("You have done or skipped every piece that is left. Others finish them.")
    return _("There is work of another kind for you.")


def _no_open_pieces(project: Project) -> str:
    held = Assignment.objects.filter(item__project=project, state=AssignmentState.LEASED)
    first_end = held.aggregate(first=Min("lease_expires_at"))["first"]
    if first_end is None:
        return _("Everything is done for now. More comes with new instructions and a new model's outputs.")
    minutes = max(1, math.ceil((first_end - timezone.now()).total_seconds() / 60))
    return ngettext(
        "Others are working on all that is left. Look again in %(minutes)d minute.",
        "Others are working on all that is left. Look again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}


def _languages(project: Project, annotator: User) -> list[str]:
    memberships = Membership.objects.filter(project=project, user=annotator, role=Role.ANNOTATOR)
    return memberships.values_list("languages", flat=True).first() or project.languages


def _agreed(project: Project, annotator: User) -> bool:
    return Membership.objects.filter(project=project, user=annotator, role=Role.ANNOTATOR, sees_harmful=True).exists()


def _scalar(sql: str, values: dict[str, Any]) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    return None if row is None else row[0]
