"""What people work on: projects of any size made by COPY, annotators who have signed in, leases, earlier work."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

OUTPUTS = 4
CHARACTERS = 1_000  # of an output: with the prompt a piece is 4.2 kB
WORDS = "river mountain capital ocean poem recipe letter number planet garden winter market engine music".split()
CHUNK = 5_000  # rows written at once
NOW = datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Project:
    slug: str
    pk: int
    first: int  # the number of its first item, prompt and wording
    items: int


def texts() -> list[str]:
    dice = random.Random(0)
    return [" ".join(dice.choices(WORDS, k=200))[: CHARACTERS - 1] + "." for _number in range(500)]


def make_project(
    slug: str, items: int, *, overlap: int = 1, language: Callable[[int], str] = lambda number: "en"
) -> Project:
    """A project with so many open ranking sets of four outputs each; `language` is of each by its number from 0."""
    from django.db import connection

    from annotation.models import Generator, GeneratorKind, Guidelines, Item
    from annotation.models import Project as Row

    row = Row.objects.create(name=slug, slug=slug, demonstrations_per_prompt=0, overlap=overlap, languages=["en", "zh"])
    Guidelines.objects.create(project=row, version=1, text="Be **helpful**, honest and harmless.")
    model = Generator.objects.create(project=row, kind=GeneratorKind.EXTERNAL, name="a model").pk
    last = Item.objects.order_by("-pk").first()
    first = 1 + (last.pk if last else 0)
    outputs = texts()
    slots = "{" + ",".join(map(str, range(1, overlap + 1))) + "}"
    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")  # foreign keys are not looked up row by row
        for table, line in (
            ("wording (project_id, digest, split, pool)", lambda at: f"{row.pk}\t{digest(slug, at)}\ttrain\treward\n"),
            (
                "prompt (id, project_id, messages, digest, split, pool, kind, use_case, language, bands, harmful, "
                "review, created_at)",
                lambda at: (
                    f"{at}\t{row.pk}\t{asked(slug, at)}\t{digest(slug, at)}\ttrain\treward\tplain\tother\t"
                    f"{language(at - first)}\t{{}}\tf\tpending\t{NOW}\n"
                ),
            ),
            (
                "completion (id, prompt_id, generator_id, text, sampling, giveaway, created_at)",
                lambda at: "".join(
                    f"{at * OUTPUTS + each}\t{at}\t{model}\t{outputs[(at + 7 * each) % len(outputs)]}\t{{}}\t\t{NOW}\n"
                    for each in range(OUTPUTS)
                ),
            ),
            (
                "item (id, project_id, kind, prompt_id, completions, language, priority, overlap, open_slots, "
                "created_at)",
                lambda at: (
                    f"{at}\t{row.pk}\tranking\t{at}\t{outputs_of(at)}\t{language(at - first)}\t0\t"
                    f"{overlap}\t{slots}\t{NOW}\n"
                ),
            ),
        ):
            copy_in(cursor, table, map(line, range(first, first + items)))
        for table in ("prompt", "completion", "item"):
            cursor.execute(
                f"select setval(pg_get_serial_sequence('annotation_{table}', 'id'), "
                f"(select max(id) from annotation_{table}))"
            )
        cursor.execute("set session_replication_role = default")
        cursor.execute("vacuum analyze")
    return Project(slug, row.pk, first, items)


def copy_in(cursor: Any, table: str, lines: Iterable[str]) -> None:
    with cursor.copy(f"copy annotation_{table} from stdin") as copy:
        for chunk in in_chunks(lines):
            copy.write(chunk)


def in_chunks(lines: Iterable[str]) -> Iterator[str]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield "".join(chunk)
            chunk = []
    yield "".join(chunk)


def outputs_of(at: int) -> str:
    """The numbers of an item's completions, as PostgreSQL writes an array."""
    return "{" + ",".join(str(at * OUTPUTS + each) for each in range(OUTPUTS)) + "}"


def asked(slug: str, at: int) -> str:
    return json.dumps([{"role": "user", "content": f"Question {at} of {slug}: what should a person know of it?"}])


def digest(slug: str, at: int) -> str:
    return hashlib.sha256(f"{slug} {at}".encode()).hexdigest()


def make_people(number: int, *, prefix: str = "annotator") -> list[int]:
    from annotation.models import User

    rows = [User(username=f"{prefix}-{each}", password="!") for each in range(number)]
    return [user.pk for user in User.objects.bulk_create(rows)]


def join(project: Project, people: Iterable[int], **values: Any) -> None:
    from annotation.models import Membership, Role

    rows = [Membership(project_id=project.pk, user_id=pk, role=Role.ANNOTATOR, **values) for pk in people]
    Membership.objects.bulk_create(rows)


def sessions(people: Iterable[int]) -> list[str]:
    """A session for each, as signing in leaves it."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from annotation.models import User

    found = []
    for user in User.objects.filter(pk__in=list(people)).order_by("pk"):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        found.append(str(session.session_key))
    return found


def hold(project: Project, people: list[int]) -> None:
    """A lease for each, of the first pieces in the queue."""
    from annotation.assignment import take
    from annotation.models import Project as Row
    from annotation.models import User

    row = Row.objects.get(pk=project.pk)
    for user in User.objects.filter(pk__in=people):
        take(row, user)


# By one person, or by several in turn.
DONE = """
insert into annotation_assignment (item_id, annotator_id, slot, shown, state, lease_expires_at, finished_at)
select id, (%(people)s::bigint[])[1 + id %% cardinality(%(people)s::bigint[])], 1, completions, 'submitted',
    now(), now()
from annotation_item where project_id = %(project)s and id < %(end)s
"""
RANKED = """
insert into annotation_ranking (assignment_id, prompt_id, annotator_id, groups, shown, ratings, flags, twins, note,
    seconds, review, origin, created_at)
select done.id, item.prompt_id, done.annotator_id,
    jsonb_build_array(jsonb_build_array(shown[1]), jsonb_build_array(shown[2], shown[3]), jsonb_build_array(shown[4])),
    shown, jsonb_build_object(shown[1]::text, 6), '{}', '{}', '', 31.5, 'pending', '{}', now()
from annotation_assignment done join annotation_item item on item.id = done.item_id
where item.project_id = %(project)s
"""


def answered(project: Project, person: int, items: int) -> None:
    """The first so many pieces were done by this person, and one more by others is still wanted of each."""
    end = project.first + items
    run(
        ("update annotation_item set open_slots = '{2}' where project_id = %(project)s and id < %(end)s", DONE),
        {"project": project.pk, "people": [person], "end": end},
    )


def rank_all(project: Project, people: list[int]) -> None:
    """Each item ranked, by one of these in turn."""
    run(
        ("update annotation_item set open_slots = '{}' where project_id = %(project)s", DONE, RANKED),
        {"project": project.pk, "people": people, "end": project.first + project.items},
    )


AS_AT_FIRST = (
    "delete from annotation_ranking where assignment_id in (select done.id from annotation_assignment done"
    " join annotation_item item on item.id = done.item_id where item.project_id = %(project)s)",
    "delete from annotation_assignment where item_id in ("
    "select id from annotation_item where project_id = %(project)s)",
    "update annotation_item set open_slots = array(select generate_series(1, overlap))"
    " where project_id = %(project)s and cardinality(open_slots) < overlap",
    "update annotation_membership set place_priority = null, place_item = null where project_id = %(project)s",
)


def start_over(project: Project) -> None:
    """As before anybody worked in it."""
    run(AS_AT_FIRST, {"project": project.pk})


def run(statements: Iterable[str], values: dict[str, Any]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, values)
        cursor.execute("vacuum analyze annotation_item, annotation_assignment, annotation_ranking")


def wrong(project: Project, submitted: list[int]) -> dict[str, int]:
    """How much of what was answered with a 2xx is lost, and how much is there twice."""
    from annotation.models import Assignment, Item, Ranking

    kept = Counter(Ranking.objects.filter(assignment__item__project=project.pk).values_list("assignment", flat=True))
    told = Counter(submitted)
    live = Counter(Assignment.objects.live().filter(item__project=project.pk).values_list("item", flat=True))
    overlaps = dict(Item.objects.filter(pk__in=list(live)).values_list("pk", "overlap"))
    twice = sum(count - 1 for count in (*kept.values(), *told.values()))
    return {
        "duplicates": twice + sum(max(0, count - overlaps[item]) for item, count in live.items()),
        "lost": len(told.keys() - kept.keys()),
    }
