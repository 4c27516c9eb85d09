"""Many people at once, on connections of their own, against the real database."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation import assignment as leases
from annotation import managing, membership, withdrawing
from annotation.adding import SETTLE
from annotation.collection import Refused
from annotation.models import (
    Assignment,
    AssignmentState,
    Guidelines,
    Item,
    ItemKind,
    Project,
    Prompt,
    Ranking,
    Role,
    SkipReason,
    User,
    Wording,
)
from annotation.statements import RELEASE
from tests.world import make_person, make_project, make_prompt, make_ranking_item, rank, taken

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 16

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def at_once(work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
    """Each call in a thread with a connection of its own, all let go at the same moment."""
    todo = list(arguments)
    barrier = Barrier(len(todo))

    def run(argument: Argument) -> Result:
        try:
            connection.ensure_connection()
            barrier.wait()
            return work(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(todo)) as threads:
        return list(threads.map(run, todo))


@pytest.fixture
def project() -> Project:
    return make_project(name="Rush", slug="rush", demonstrations_per_prompt=0)


@pytest.fixture
def people(project: Project) -> list[User]:
    return [make_person(f"person-{number}", project, Role.ANNOTATOR) for number in range(PEOPLE)]


def slots_add_up() -> None:
    """Every slot of every item is open or held by one live assignment; nothing is lost and nothing is double."""
    for item in Item.objects.all():
        live = item.assignments.live().values_list("slot", flat=True)
        assert sorted([*item.open_slots, *live]) == list(range(1, item.overlap + 1)), item


@pytest.mark.parametrize("overlap", [1, 3])
def test_sixteen_who_ask_at_once_never_exceed_the_overlap(project: Project, people: list[User], overlap: int) -> None:
    for _number in range(PEOPLE // overlap + 1):
        make_ranking_item(project, overlap=overlap)
    taken = at_once(lambda person: leases.take(project, person), people)
    assert all(taken)
    holders = Counter(assignment.item_id for assignment in taken if assignment)
    assert max(holders.values()) <= overlap
    slots_add_up()


def test_one_piece_goes_to_one_of_sixteen(project: Project, people: list[User]) -> None:
    make_ranking_item(project)
    taken = at_once(lambda person: leases.take(project, person), people)
    assert len([assignment for assignment in taken if assignment]) == 1


def test_one_person_who_asks_sixteen_times_at_once_never_has_a_piece_twice(
    project: Project, people: list[User]
) -> None:
    for _number in range(3):
        make_ranking_item(project, overlap=3)
    taken = at_once(lambda _number: leases.take(project, people[0]), range(PEOPLE))
    assert all(taken)
    slots_add_up()


def test_a_submit_sent_eight_times_at_once_counts_once(project: Project, people: list[User]) -> None:
    make_ranking_item(project)
    assignment = leases.take(project, people[0])
    assert assignment is not None
    key = uuid.uuid4()
    records = at_once(lambda _number: rank(assignment, client_key=key).pk, range(8))
    assert len(set(records)) == 1
    assert Ranking.objects.count() == 1


def test_no_more_instructions_are_asked_for_than_wanted(project: Project, people: list[User]) -> None:
    project.instructions_wanted = 5
    taken = at_once(lambda person: leases.take(project, person), people)
    assert len([assignment for assignment in taken if assignment]) == 5


def test_an_instruction_taken_back_while_fifteen_rank_its_outputs_leaves_nothing_of_it(
    project: Project, people: list[User]
) -> None:
    prompt = make_prompt(project, author=people[0])
    written = Item.objects.create(project=project, kind="instruction")
    piece = Assignment.objects.create(item=written, annotator=people[0], slot=1, lease_expires_at=timezone.now())
    Prompt.objects.filter(pk=prompt.pk).update(assignment=piece)
    for _set in range(4):
        make_ranking_item(project, prompt=prompt, overlap=PEOPLE)

    def at_work(person: User) -> None:
        if person == people[0]:
            withdrawing.withdraw(piece)
            return
        while (taken := leases.take(project, person)) is not None:
            try:
                rank(taken)
            except Refused:
                return

    at_once(at_work, people)
    assert not Prompt.objects.exists()
    assert not Ranking.objects.exists()
    assert not Item.objects.exclude(open_slots=[]).exists()
    assert not Assignment.objects.exclude(draft={}).exists()
    assert not Assignment.objects.filter(state=AssignmentState.LEASED).exists()


def test_equal_texts_of_sixteen_authors_share_one_split(project: Project, people: list[User]) -> None:
    at_once(lambda person: make_prompt(project, "Is it raining?", author=person), people)
    assert Prompt.objects.count() == PEOPLE
    assert Wording.objects.count() == 1
    assert len(set(Prompt.objects.values_list("split", "pool"))) == 1


def test_a_text_is_settled_once_however_many_meet_at_it(project: Project) -> None:
    """500 meetings, since few of them bring two people into the very moment between looking and writing."""
    meetings, together = 500, Barrier(PEOPLE)

    def settle(_person: int) -> None:
        with connection.cursor() as cursor:
            for number in range(meetings):
                together.wait(10)
                cursor.execute(SETTLE, [project.pk, [f"{number:064x}"], ["train"], ["reward"]])

    at_once(settle, range(PEOPLE))
    assert Wording.objects.count() == meetings


def test_an_hour_in_a_busy_project_loses_nothing(project: Project, people: list[User]) -> None:
    """Everybody takes, submits, skips, doubles clicks and lets leases run out, while the sweep runs all the time."""
    for number in range(40):
        make_ranking_item(project, overlap=1 + number % 3)

    def day(person: User) -> int:
        dice, submitted = random.Random(person.pk), 0
        for _piece in range(12):
            assignment = leases.take(project, person)
            if assignment is None:
                break
            fate = dice.random()
            if fate < 0.15:
                leases.skip(assignment, reason=SkipReason.OTHER)
            elif fate < 0.3:
                past = timezone.now() - timedelta(seconds=1)
                Assignment.objects.filter(pk=assignment.pk, state="leased").update(lease_expires_at=past)
                leases.release_expired()
            else:
                key = uuid.uuid4()
                submitted += 1
                try:
                    rank(assignment, client_key=key)
                    rank(assignment, client_key=key)
                except Refused:
                    submitted -= 1
        return submitted

    submitted = sum(at_once(day, people))
    slots_add_up()
    assert Ranking.objects.count() == submitted
    assert Assignment.objects.filter(state=AssignmentState.SUBMITTED).count() == submitted
    for item in Item.objects.all():
        assert item.assignments.filter(state=AssignmentState.SUBMITTED).count() <= item.overlap


@pytest.mark.parametrize("first", ["skipping", "reopening"])
def test_a_piece_skipped_while_its_instruction_is_reopened_is_asked_of_others(
    project: Project, people: list[User], first: str
) -> None:
    item = make_ranking_item(project, prompt=make_prompt(project, "Rejected?"), overlap=1)
    held = taken(project, people[0], ItemKind.RANKING)
    _review(item, "rejected")
    leases.close([item.prompt_id])

    def skip() -> None:
        leases.skip(held, reason=SkipReason.OTHER)

    def reopen() -> None:
        _review(item, "accepted")
        leases.reopen([item.prompt_id])

    one, other = (skip, reopen) if first == "skipping" else (reopen, skip)
    overlapping(one, other)
    item.refresh_from_db()
    assert item.open_slots == [1]


def test_an_instruction_reopened_while_the_sweep_ends_leases_waits_and_is_asked_of_others(
    project: Project, people: list[User]
) -> None:
    item = make_ranking_item(project, prompt=make_prompt(project, "Rejected?"), overlap=1)
    held = taken(project, people[0], ItemKind.RANKING)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    _review(item, "rejected")
    leases.close([item.prompt_id])
    threads, reopened, waited = ThreadPoolExecutor(1), Event(), []

    def reopen() -> None:
        try:
            with transaction.atomic():
                _review(item, "accepted")
                leases.reopen([item.prompt_id])
        finally:
            reopened.set()
            connection.close()

    def between(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith(RELEASE):
            threads.submit(reopen)
            while not reopened.wait(0.02) and not _somebody_waits():
                pass
            waited.append(not reopened.is_set())
        return execute(sql, *rest)

    with threads, connection.execute_wrapper(between):
        assert leases.release_expired() == 1
    assert waited == [True]
    item.refresh_from_db()
    assert item.open_slots == [1]


def _review(item: Item, state: str) -> None:
    Prompt.objects.filter(pk=item.prompt_id).update(review=state)


def overlapping(one: Callable[[], None], other: Callable[[], None]) -> None:
    """The one's transaction ends only when the other waits for it, or is through without having waited."""
    begun, over = Event(), Event()

    def second() -> None:
        begun.wait()
        try:
            with transaction.atomic():
                other()
        finally:
            over.set()
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        rest = threads.submit(second)
        with transaction.atomic():
            one()
            begun.set()
            while not over.wait(0.02) and not _somebody_waits():
                pass
        rest.result()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


def test_a_link_for_three_lets_in_three_of_many_who_follow_it_at_once(project: Project) -> None:
    ada = make_person("ada", project, Role.ADMIN)
    invitation, _secret = membership.invite(project, by=ada, name="Kim", roles=[Role.ANNOTATOR], max_uses=3)
    strangers = [make_person(f"stranger-{number}") for number in range(PEOPLE)]

    def follow(person: User) -> bool:
        try:
            membership.join(invitation, person)
        except Refused:
            return False
        return True

    assert sum(at_once(follow, strangers)) == 3
    invitation.refresh_from_db()
    assert (invitation.uses, project.memberships.filter(role=Role.ANNOTATOR).count()) == (3, 3)


def test_guidelines_published_at_once_get_a_version_each(project: Project) -> None:
    ada = make_person("ada", project, Role.ADMIN)
    texts = [f"Be brief, {number}." for number in range(PEOPLE)]
    made = at_once(lambda text: managing.publish(Guidelines, project, by=ada, text=text).version, texts)
    assert sorted(made) == list(range(2, PEOPLE + 2))


def test_of_two_admins_who_remove_each_other_at_once_one_stays(project: Project) -> None:
    ada, rosa = (make_person(name, project, Role.ADMIN) for name in ("ada", "rosa"))
    members = {person: project.memberships.get(user=person) for person in (ada, rosa)}

    def remove(pair: tuple[User, User]) -> bool:
        by, other = pair
        try:
            membership.remove(members[other], by=by)
        except Refused:
            return False
        return True

    assert sorted(at_once(remove, [(ada, rosa), (rosa, ada)])) == [False, True]
    assert project.memberships.filter(role=Role.ADMIN).count() == 1
