"""Invariants that need SQL: what a ranking must be, which slots an item has, one split for one text."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

ORDERING = """
create function annotation_orders_exactly(groups jsonb, shown bigint[]) returns boolean
language sql immutable parallel safe as $$
    select case when jsonb_typeof(groups) <> 'array' then false else coalesce(
        (select bool_and(case jsonb_typeof(g) when 'array' then jsonb_array_length(g) > 0 else false end)
            from jsonb_array_elements(groups) g)
        and (select array_agg(id order by id) from (
            select (jsonb_array_elements(case jsonb_typeof(g) when 'array' then g else '[]' end))::bigint as id
            from jsonb_array_elements(groups) g) ranked)
            = (select array_agg(distinct id) from unnest(shown) id)
        and cardinality(shown) = (select count(distinct id) from unnest(shown) id)
    , false) end
$$;
alter table annotation_ranking
    add constraint ranking_orders_exactly_what_was_shown check (annotation_orders_exactly(groups, shown));

-- An imported ranking has no assignment; any other was shown what its assignment says.
alter table annotation_assignment add constraint assignment_shown unique (id, shown);
alter table annotation_ranking add constraint ranking_was_shown_its_assignment
    foreign key (assignment_id, shown) references annotation_assignment (id, shown) deferrable initially deferred;
"""

NO_ORDERING = """
alter table annotation_ranking drop constraint ranking_was_shown_its_assignment;
alter table annotation_assignment drop constraint assignment_shown;
alter table annotation_ranking drop constraint ranking_orders_exactly_what_was_shown;
drop function annotation_orders_exactly(jsonb, bigint[]);
"""

SLOTS = """
alter table annotation_item add constraint item_open_slots_within_overlap
    check (1 <= all (open_slots) and overlap >= all (open_slots) and cardinality(open_slots) <= overlap);
"""

NO_SLOTS = "alter table annotation_item drop constraint item_open_slots_within_overlap;"

SPLITS = """
alter table annotation_wording add constraint wording_settled unique (project_id, digest, split, pool);
alter table annotation_prompt add constraint prompt_split_is_its_wordings
    foreign key (project_id, digest, split, pool)
    references annotation_wording (project_id, digest, split, pool) deferrable initially deferred;
"""

NO_SPLITS = """
alter table annotation_prompt drop constraint prompt_split_is_its_wordings;
alter table annotation_wording drop constraint wording_settled;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotation", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(ORDERING, NO_ORDERING),
        migrations.RunSQL(SLOTS, NO_SLOTS),
        migrations.RunSQL(SPLITS, NO_SPLITS),
    ]
