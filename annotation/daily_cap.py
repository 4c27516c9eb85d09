"""How many pieces an annotator may do in a project in a day, where its admin set a cap. Days are those of UTC.

It limits what is handed out: two requests of one person at the same instant may pass it by one, and a piece that comes
in late is kept.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta

from django.db import connection
from django.utils.translation import ngettext

from annotation.models import Project, User

# Part of the statement that takes a piece. Pieces in hand count too. Nothing is counted where there is no cap, else the
# pieces of the day by an index, however many there were before.
REACHED = """exists (
    select from annotation_membership membership
    where membership.project_id = %(project)s and membership.user_id = %(annotator)s and membership.role = 'annotator'
        and case when membership.daily_cap is null then false else membership.daily_cap <= (
            select count(*) from (
                select item_id from annotation_assignment where annotator_id = %(annotator)s and state = 'leased'
                union all
                select item_id from annotation_assignment where annotator_id = %(annotator)s and state = 'submitted'
                    and finished_at >= date_trunc('day', now(), 'UTC')) today
            join annotation_item item on item.id = today.item_id
            where item.project_id = %(project)s) end)"""


def is_reached(project: Project, annotator: User) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"select {REACHED}", {"project": project.pk, "annotator": annotator.pk})
        return bool(cursor.fetchone()[0])


def when_again() -> str:
    """What somebody who has reached their cap is told."""
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), time.min, UTC)
    hours = math.ceil((midnight - now).total_seconds() / 3600)
    return ngettext(
        "You have taken all the pieces you may do here in a day. Come back after midnight UTC: in %(hours)d hour.",
        "You have taken all the pieces you may do here in a day. Come back after midnight UTC: in %(hours)d hours.",
        hours,
    ) % {"hours": hours}
