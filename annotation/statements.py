"""The SQL by which pieces of work are taken, given back and asked for again (annotation.assignment)."""

from __future__ import annotations

from annotation import daily_cap, terms

# Slots of an item whose instruction is rejected stay closed: nobody is asked about it any more.
IS_WANTED = "not exists (select from annotation_prompt where id = item.prompt_id and review = 'rejected')"

# Whether a piece is of a use case that the annotator is down for; who is down for none gets all.
ON_TOPIC = """(
    not exists (select from annotation_membership where project_id = %(project)s and user_id = %(annotator)s
        and role = 'annotator' and use_cases <> '{}')
    or (select use_case from annotation_prompt where id = item.prompt_id) = any((
        select use_cases from annotation_membership where project_id = %(project)s and user_id = %(annotator)s
            and role = 'annotator')::text[]))"""

# One statement. `held` gives back what the person has in work, but for the piece they are at (`after`). Else comes what
# is outside the slots (`aside`): the few sets that a researcher has answered for the purposes asked for. Else `fronts`
# looks at the first open piece of each kind and language, the possibly harmful apart and only for those who agreed, and
# `candidate` locks one piece, stepping over those that others are locking at this moment. The slot is read from the
# locked row, so it is current even where somebody took another slot of it a moment ago. That the person has not done a
# piece is asked of one index entry a piece: a join might read all that they ever did.
#
# `reach` says which open pieces of a front are looked at: the first ones, then those beyond the person's own place, so
# that thousands of open pieces that they did or skipped are not looked at again each time. `placed` keeps the place.
_TAKE = """
with held as (
    update annotation_assignment set lease_expires_at = now() + %(lease)s
    where state = 'leased' and id = (
        select assignment.id from annotation_assignment assignment
        join annotation_item item on item.id = assignment.item_id
        where assignment.annotator_id = %(annotator)s and assignment.state = 'leased'
            and item.project_id = %(project)s and item.kind = any(%(kinds)s)
            and assignment.id is distinct from %(after)s
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
        and (item.purpose = 'qualification' or {on topic}) and not {cap reached}
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
        order by item.priority::integer * -1, item.id limit 1) first
    where not exists (select from held) and not {cap reached}
    order by first.priority desc, first.id
), candidate as (
    select piece.id, piece.slot, piece.completions
    from fronts cross join lateral (
        select item.id, item.open_slots[1] as slot, item.completions from ({reach}) reached
        join annotation_item item on item.id = reached.id
        where item.harmful = fronts.harmful and not item.open_slots = '{}'
            and item.author_id is distinct from %(annotator)s
            and (select mine.id from annotation_assignment mine
                where mine.annotator_id = %(annotator)s and mine.item_id = item.id
                    and mine.repeat = 0 and mine.state <> 'expired') is null
            and {on topic}
        order by reached.turn, reached.id limit 1
        for update of item {locked}) piece
    where not exists (select from aside)
    limit 1
), taken as (
    update annotation_item item set open_slots = array_remove(item.open_slots, candidate.slot)
    from candidate where item.id = candidate.id
    returning item.id, item.priority, candidate.slot, candidate.completions
), {placed} chosen as (
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
""".replace("{cap reached}", daily_cap.REACHED).replace("{on topic}", ON_TOPIC)

# The turn of a piece: the less, the sooner, so that all that comes after a place is one comparison of rows.
OPEN_PIECES = """select open.id, open.priority::integer * -1 as turn from annotation_item open
    where open.project_id = %(project)s and open.kind = fronts.kind and open.language = fronts.language
        and open.harmful = fronts.harmful and not open.open_slots = '{}'"""
NEAR_PIECES = OPEN_PIECES + " order by turn, id limit %(near)s"
BEYOND_THEIR_PLACE = OPEN_PIECES + " and (open.priority::integer * -1, open.id) > (place.turn, place.item)"

# Whoever has no place yet looks from the first on.
PLACE = """cross join (
        select coalesce(max(place_priority::integer * -1), -32768) as turn, coalesce(max(place_item), 0) as item
        from annotation_membership
        where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator') place"""
PLACED = """placed as (
    update annotation_membership set place_priority = taken.priority, place_item = taken.id from taken
    where project_id = %(project)s and user_id = %(annotator)s and role = 'annotator'
),"""


def _take(*, reach: str, place: str = "", placed: str = PLACED, locked: str = "skip locked") -> str:
    found = _TAKE.replace("from fronts cross", f"from fronts {place} cross").replace("{reach}", reach)
    return found.replace("{placed}", placed).replace("{locked}", locked)


TAKE = _take(reach=NEAR_PIECES, placed="")
TAKE_FARTHER = _take(reach=BEYOND_THEIR_PLACE, place=PLACE)

# Of all pieces, and waiting for those that others are locking: they may leave slots of them free.
TAKE_PATIENTLY = _take(reach=OPEN_PIECES, locked="")

# Instruction pieces are made for the person who asks. Callers hold the project's advisory lock, so that pieces in work
# and prompts together do not pass the number wanted.
MAKE_INSTRUCTION = """
with piece as (
    insert into annotation_item (project_id, kind, completions, language, priority, overlap, open_slots, created_at)
    select %(project)s, 'instruction', '{}', %(language)s, 0, 1, '{}', now()
    where %(wanted)s > (
        select count(*) from (select from annotation_prompt
            where project_id = %(project)s and review <> 'rejected' limit %(wanted)s) prompts
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

# In the transaction that writes the record. A lease that has ended counts where a slot was regained.
FINISH = """
update annotation_assignment set state = 'submitted', slot = coalesce(%(slot)s, slot), client_key = %(client_key)s,
    finished_at = now(), draft = '{}', skip_reason = '', seconds = %(seconds)s, pasted = %(pasted)s, terms_id = {agreed}
where id = %(assignment)s and (state = 'leased' or %(regained)s)
returning id
""".replace("{agreed}", terms.AGREED)

SKIP = """
with freed as (
    update annotation_assignment set state = 'skipped', skip_reason = %(reason)s, finished_at = now()
    where id = %(assignment)s and state = 'leased' returning item_id, slot
)
update annotation_item item set open_slots = item.open_slots || freed.slot
from freed where item.id = freed.item_id and item.kind <> 'instruction' and freed.slot is not null and {is wanted}
""".replace("{is wanted}", IS_WANTED)

# Leases that are to end are locked first, in the transaction that ends them, so that an instruction reopened meanwhile
# is seen, or waits. Those that somebody is just submitting are left. One sweep at a time: two at once could wait for
# each other's items.
LOCK_EXPIRED = """
select id from annotation_assignment
where state = 'leased' and lease_expires_at <= now() and pg_try_advisory_xact_lock(%(sweep)s)
for update skip locked
"""
LOCK_NAMED = """
select id from annotation_assignment
where state = 'leased' and id = any(%(assignments)s)
    and item_id in (select id from annotation_item where project_id = %(project)s)
for update skip locked
"""
RELEASE = """
with freed as (
    update annotation_assignment set state = 'expired' where id = any(%(leases)s) returning item_id, slot
)
update annotation_item item set open_slots = item.open_slots || freed.slots
from (select item_id, array_agg(slot) as slots from freed where slot is not null group by item_id) freed
where item.id = freed.item_id and item.kind <> 'instruction' and {is wanted}
""".replace("{is wanted}", IS_WANTED)

REGAIN = """
with free as (
    select id, open_slots[1] as slot from annotation_item where id = %(item)s and not open_slots = '{}' for update
)
update annotation_item item set open_slots = array_remove(item.open_slots, free.slot)
from free where item.id = free.id returning free.slot
"""

# An answer that was rejected keeps its slot, and the item gets one more: others are asked for what it should have been.
# Pieces without a slot have no place that somebody else could take.
REPLACE = """
update annotation_item item set overlap = overlap + rejected.answers,
    open_slots = case when {is wanted}
        then open_slots || array(select generate_series(overlap + 1, overlap + rejected.answers))::smallint[]
        else open_slots end
from (select item_id, count(*)::int as answers from annotation_assignment
    where id = any(%(assignments)s) and slot is not null group by item_id) rejected
where item.id = rejected.item_id and item.prompt_id is not null
""".replace("{is wanted}", IS_WANTED)

# One slot that nobody has taken is given up again, whether it is open or its instruction is rejected. Whoever holds the
# last number takes the one that is free. Callers hold the items' row locks, so that the slots seen here are current.
LOCK_ITEMS = """
select id from annotation_item where id in (select item_id from annotation_assignment where id = any(%(assignments)s))
order by id for update
"""
KEEP = """
with freed as (
    select item.id, item.overlap, max(number)::smallint as slot
    from annotation_assignment kept
    join annotation_item item on item.id = kept.item_id
    cross join generate_series(1, item.overlap) number
    where kept.id = %(assignment)s and kept.slot is not null and item.overlap > 1
        and not exists (select from annotation_assignment used
            where used.item_id = item.id and used.slot = number and used.state in ('leased', 'submitted'))
    group by item.id
), moved as (
    update annotation_assignment last set slot = freed.slot from freed
    where last.item_id = freed.id and last.slot = freed.overlap and last.state in ('leased', 'submitted')
)
update annotation_item item set overlap = item.overlap - 1, open_slots = array_remove(open_slots, freed.slot)
from freed where item.id = freed.id
"""

# Of the instructions that were rejected just now, no slot is open any more.
CLOSE = "update annotation_item set open_slots = '{}' where prompt_id = any(%(prompts)s) and not open_slots = '{}'"

# Who skips a piece while its instruction is reopened waits for that, or is waited for: neither statement sees what is
# committed after it began, and so neither would open the slot.
LOCK_LEASES = """
select id from annotation_assignment where state = 'leased'
    and item_id in (select id from annotation_item where prompt_id = any(%(prompts)s))
order by id for update
"""
LOCK_LEASE = "select id from annotation_assignment where id = %(assignment)s for update"

# Of those that are not rejected any more, every slot is open that nobody holds or has used.
_OPEN = """
update annotation_item item set open_slots = array(
    select number from generate_series(1, item.overlap) number
    where not exists (select from annotation_assignment used
        where used.item_id = item.id and used.slot = number and used.state in ('leased', 'submitted')))
where {chosen} and item.purpose = ''
"""
OPEN = _OPEN.replace("{chosen}", "item.prompt_id = any(%(prompts)s)")

# Of single pieces, the same. One that has lost its prompt, or whose prompt is rejected, stays closed.
WITHHOLD = "update annotation_item set open_slots = '{}' where id = any(%(items)s) and not open_slots = '{}'"
ASK_AGAIN = _OPEN.replace(
    "{chosen}", "item.id = any(%(items)s) and item.prompt_id is not null and {is wanted}"
).replace("{is wanted}", IS_WANTED)
