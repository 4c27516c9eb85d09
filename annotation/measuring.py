"""Pieces that measure the person who gets them, by chance or before all others. They stand outside the slots."""

from __future__ import annotations

import random

from annotation import daily_cap
from annotation.models import Project, Purpose

# One of their own rankings once more, in the reverse of the order in which it was shown. Which, is left to chance: the
# first from a random place in the index of what they did, so that the cost stays the same however much that is.
REPEAT = """
with place as (
    select min(item_id) + floor(random() * (max(item_id) - min(item_id) + 1))::bigint as item_id
    from annotation_assignment where annotator_id = %(annotator)s
)
insert into annotation_assignment (item_id, annotator_id, repeat, shown, guidelines_id, lease_expires_at)
select first.item_id, %(annotator)s, 1,
    array(select id from unnest(first.shown) with ordinality shown(id, place) order by place desc),
    (select id from annotation_guidelines where project_id = %(project)s order by version desc limit 1),
    now() + %(lease)s
from annotation_assignment first
join annotation_item item on item.id = first.item_id
where first.annotator_id = %(annotator)s and first.item_id >= (select item_id from place)
    and first.repeat = 0 and first.state = 'submitted'
    and item.project_id = %(project)s and item.kind = 'ranking' and item.prompt_id is not null and item.purpose = ''
    and not exists (select from annotation_assignment held
        where held.annotator_id = %(annotator)s and held.state = 'leased' and held.id is distinct from %(after)s)
    and not {cap reached}
    and not exists (select from annotation_assignment again where again.annotator_id = %(annotator)s
        and again.item_id = first.item_id and again.repeat > 0)
order by first.item_id limit 1
returning id
""".replace("{cap reached}", daily_cap.REACHED)


def purposes(project: Project) -> list[str]:
    """Which sets that researchers have answered may come now: to qualify, always; gold, by chance."""
    gold = [Purpose.GOLD.value] if drawn(project.gold_share) else []
    return [*gold, *([Purpose.QUALIFICATION.value] if project.qualification_pieces else [])]


def drawn(percent: int) -> bool:
    return random.random() * 100 < percent  # noqa: S311 - chance, and no secret
