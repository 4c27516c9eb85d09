"""Pieces of work that end because what was made of them, or what they are about, is taken back."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from annotation.statements import IS_WANTED

# What its author takes back makes room for somebody else, unless the piece itself is closed.
TAKE_BACK = """
with freed as (
    update annotation_assignment set state = 'withdrawn', draft = '{}', finished_at = coalesce(finished_at, now())
    where id = any(%(assignments)s) and state in ('leased', 'submitted') returning item_id, slot
)
update annotation_item item set open_slots = item.open_slots || freed.slot
from freed where item.id = freed.item_id and item.prompt_id is not null and freed.slot is not null and {is wanted}
""".replace("{is wanted}", IS_WANTED)

# Nobody works on it any more, and whoever is at it is told so. What they spent on it counts as their time. A closed
# piece has lost its prompt, so that no slot of it is ever opened again.
CLOSE = """
with closed as (
    update annotation_item set open_slots = '{}', prompt_id = null, author_id = null
    where id = any(%(items)s) returning id
)
update annotation_assignment assignment
set state = 'withdrawn', draft = '{}',
    finished_at = coalesce(finished_at, case when state = 'leased' then now() end)
from closed where assignment.item_id = closed.id and assignment.state in ('leased', 'expired')
"""


def take_back(assignments: Sequence[int]) -> None:
    """End pieces whose author takes their work back; others may do them."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_BACK, {"assignments": list(assignments)})


def close(items: Sequence[int]) -> None:
    """End pieces for everybody: what they are about is gone. What was submitted for them stays done."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, {"items": list(items)})
