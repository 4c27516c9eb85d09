"""Who gets which piece of work, and what becomes of leases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import assignment as leases
from annotation import empty_queue
from annotation.models import Assignment, AssignmentState, Item, ItemKind, Membership, Project, SkipReason
from tests.world import World, answer, make_person, make_project, make_prompt, make_ranking_item, rank, taken


def expire(assignment: Assignment) -> None:
    """By the database's clock, which stands still in a test's transaction, however slow the machine is."""
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def free_slots(item: Item) -> list[int]:
    return sorted(Item.objects.get(pk=item.pk).open_slots)


def test_an_annotator_gets_the_open_piece(world: World) -> None:
    item = make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    assert assignment.item == item
    assert assignment.state == AssignmentState.LEASED
    assert sorted(assignment.shown) == sorted(item.completions)
    assert assignment.guidelines == world.project.current_guidelines()
    assert assignment.lease_expires_at > timezone.now() + timedelta(minutes=14)


def test_taking_is_one_statement_and_one_more_to_load_it(world: World) -> None:
    make_ranking_item(world.project)
    with CaptureQueriesContext(connection) as queries:
        taken(world.project, world.alice, ItemKind.RANKING)
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 2


def test_a_piece_still_held_comes_first_and_its_lease_starts_anew(world: World) -> None:
    make_ranking_item(world.project)
    make_ranking_item(world.project, priority=5)
    first = taken(world.project, world.alice)
    expire(first)
    again = taken(world.project, world.alice)
    assert again == first
    assert again.lease_expires_at > timezone.now()


def test_a_piece_held_of_another_kind_stays_out_of_the_way(world: World) -> None:
    make_ranking_item(world.project)
    Project.objects.update(instructions_wanted=5)
    world.project.refresh_from_db()
    taken(world.project, world.alice, ItemKind.RANKING)
    assert taken(world.project, world.alice, ItemKind.INSTRUCTION).item.kind == ItemKind.INSTRUCTION


def test_one_annotator_a_piece_where_the_overlap_is_one(world: World) -> None:
    make_ranking_item(world.project)
    taken(world.project, world.alice)
    assert leases.take(world.project, world.bob) is None


def test_as_many_annotators_as_the_overlap_in_slots_of_their_own(world: World) -> None:
    item = make_ranking_item(world.project, overlap=2)
    carol = make_person("carol")
    slots = [taken(world.project, person).slot for person in (world.alice, world.bob)]
    assert sorted(slots) == [1, 2]
    assert leases.take(world.project, carol) is None
    assert free_slots(item) == []


def test_nobody_gets_the_same_piece_twice(world: World) -> None:
    make_ranking_item(world.project, overlap=3)
    rank(taken(world.project, world.alice))
    assert leases.take(world.project, world.alice) is None


def test_nobody_gets_their_own_prompt(world: World) -> None:
    make_ranking_item(world.project, prompt=make_prompt(world.project, author=world.alice))
    assert leases.take(world.project, world.alice) is None
    assert leases.take(world.project, world.bob) is not None


def test_own_prompts_at_the_head_do_not_hide_the_pieces_behind_them(world: World) -> None:
    make_ranking_item(world.project, prompt=make_prompt(world.project, author=world.alice), priority=9)
    other = make_ranking_item(world.project)
    assert taken(world.project, world.alice).item == other


def test_languages_of_the_annotator_are_respected(db: None) -> None:
    project = make_project(name="Two tongues", slug="two-tongues", languages=["en", "zh"], demonstrations_per_prompt=0)
    reader, both = make_person("reader", project, "annotator"), make_person("both", project, "annotator")
    Membership.objects.filter(user=reader).update(languages=["zh"])
    english = make_ranking_item(project)
    assert leases.take(project, reader) is None
    chinese = make_ranking_item(project, prompt=make_prompt(project, "法国的首都是哪里？", language="zh"))
    assert taken(project, reader).item == chinese
    assert taken(project, both).item == english


def test_the_urgent_piece_comes_first_then_the_oldest_across_kinds_and_languages(db: None) -> None:
    project = make_project(name="Mixed", slug="mixed", languages=["en", "zh"], demonstrations_per_prompt=1)
    ann = make_person("ann", project, "annotator")
    make_prompt(project, "Hello?")
    make_prompt(project, "你好？", language="zh")
    oldest, second = Item.objects.order_by("id")
    urgent = make_ranking_item(project, prompt=make_prompt(project, "你是谁？", language="zh"), priority=1)
    assert rank(taken(project, ann)).assignment.item == urgent
    assert answer(taken(project, ann)).assignment.item == oldest
    assert answer(taken(project, ann)).assignment.item == second


def test_another_projects_pieces_are_not_given(world: World) -> None:
    make_ranking_item(world.next_door)
    assert leases.take(world.project, world.alice) is None


def test_an_archived_project_gives_nothing(world: World) -> None:
    make_ranking_item(world.project)
    world.project.archived_at = timezone.now()
    assert leases.take(world.project, world.alice) is None
    assert "archived" in empty_queue.why(world.project, world.alice)


def test_a_skipped_piece_goes_to_others_only(world: World) -> None:
    item = make_ranking_item(world.project)
    leases.skip(taken(world.project, world.alice), reason=SkipReason.NOT_MY_FIELD)
    assert free_slots(item) == [1]
    assert leases.take(world.project, world.alice) is None
    assert taken(world.project, world.bob).item == item


def test_skipping_twice_frees_the_slot_once(world: World) -> None:
    item = make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    leases.skip(assignment, reason=SkipReason.BROKEN)
    leases.skip(assignment, reason=SkipReason.OTHER)
    assert free_slots(item) == [1]
    assert Assignment.objects.get().skip_reason == SkipReason.BROKEN


def test_a_submitted_piece_can_not_be_skipped(world: World) -> None:
    item = make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    rank(assignment)
    leases.skip(assignment, reason=SkipReason.OTHER)
    assert free_slots(item) == []


def test_a_lease_that_ran_out_is_released_by_the_sweep(world: World) -> None:
    item = make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    assert leases.release_expired() == 0
    expire(assignment)
    assert leases.release_expired() == 1
    assert leases.release_expired() == 0
    assert free_slots(item) == [1]
    assert taken(world.project, world.bob).item == item


def test_a_lease_that_ran_out_does_not_block_where_no_sweep_runs(world: World) -> None:
    item = make_ranking_item(world.project)
    expire(taken(world.project, world.alice))
    assert taken(world.project, world.bob).item == item


def test_several_leases_of_one_piece_are_released_together(world: World) -> None:
    item = make_ranking_item(world.project, overlap=2)
    for person in (world.alice, world.bob):
        expire(taken(world.project, person))
    assert leases.release_expired() == 2
    assert free_slots(item) == [1, 2]


def test_what_ran_out_comes_back_to_its_annotator_as_it_was(world: World) -> None:
    make_ranking_item(world.project)
    first = taken(world.project, world.alice)
    Assignment.objects.update(draft={"note": "half done"})
    expire(first)
    leases.release_expired()
    again = taken(world.project, world.alice)
    assert (again.pk, again.shown, again.draft) == (first.pk, first.shown, {"note": "half done"})
    assert again.state == AssignmentState.LEASED


def test_a_heartbeat_starts_the_lease_anew(world: World) -> None:
    make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    expire(assignment)
    leases.heartbeat(assignment)
    assert leases.release_expired() == 0


def test_a_heartbeat_does_not_revive_what_ended(world: World) -> None:
    make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    expire(assignment)
    leases.release_expired()
    leases.heartbeat(assignment)
    assert Assignment.objects.get().state == AssignmentState.EXPIRED


class TestInstructions:
    @pytest.fixture
    def world(self, world: World) -> World:
        world.project.instructions_wanted = 2
        world.project.save(update_fields=["instructions_wanted"])
        return world

    def test_pieces_are_made_for_whoever_asks(self, world: World) -> None:
        assert taken(world.project, world.alice).item.kind == ItemKind.INSTRUCTION
        assert Item.objects.count() == 1

    def test_no_more_are_asked_for_than_wanted(self, world: World) -> None:
        carol = make_person("carol")
        for person in (world.alice, world.bob):
            taken(world.project, person)
        assert leases.take(world.project, carol) is None

    def test_prompts_from_elsewhere_count(self, world: World) -> None:
        make_prompt(world.project)
        make_prompt(world.project, "And of Spain?")
        assert leases.take(world.project, world.alice) is None

    def test_a_skipped_one_is_asked_for_again_even_of_the_same_person(self, world: World) -> None:
        make_prompt(world.project)
        first = taken(world.project, world.alice)
        leases.skip(first, reason=SkipReason.OTHER)
        assert taken(world.project, world.alice) != first

    def test_one_that_ran_out_makes_room_for_another(self, world: World) -> None:
        make_prompt(world.project)
        expire(taken(world.project, world.alice))
        assert taken(world.project, world.bob).item.kind == ItemKind.INSTRUCTION

    def test_none_where_none_are_wanted(self, world: World) -> None:
        world.project.instructions_wanted = 0
        assert leases.take(world.project, world.alice) is None


class TestAnEmptyQueueSaysWhy:
    def test_everything_is_done(self, world: World) -> None:
        assert "done for now" in empty_queue.why(world.project, world.alice)

    def test_others_are_at_it(self, world: World) -> None:
        make_ranking_item(world.project)
        taken(world.project, world.bob)
        assert "in 15 minutes" in empty_queue.why(world.project, world.alice)

    def test_only_own_prompts_are_left(self, world: World) -> None:
        make_ranking_item(world.project, prompt=make_prompt(world.project, author=world.alice))
        assert "your own" in empty_queue.why(world.project, world.alice)

    def test_only_other_languages_are_left(self, world: World) -> None:
        make_ranking_item(world.project)
        Membership.objects.filter(user=world.alice).update(languages=["zh"])
        assert "languages" in empty_queue.why(world.project, world.alice)

    def test_all_that_is_left_was_done_or_skipped(self, world: World) -> None:
        make_ranking_item(world.project)
        leases.skip(taken(world.project, world.alice), reason=SkipReason.UNSAFE)
        assert "done or skipped" in empty_queue.why(world.project, world.alice)
