"""Who is through with thousands of pieces that still wait for others gets the next one as fast as a newcomer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation import assignment as leases
from annotation import statements
from annotation.assignment import take
from annotation.models import Assignment, AssignmentState, Item, Membership, SkipReason
from tests.annotation.query_plans import nodes
from tests.world import World, make_person, make_prompt, make_ranking_item, rank, taken

MANY = 300


@pytest.fixture
def skipped(world: World) -> list[Item]:
    """Many sets that wait, all of which Alice has skipped."""
    prompt = make_prompt(world.project)
    sample = make_ranking_item(world.project, prompt=prompt)
    like_it = {"project": world.project, "kind": "ranking", "prompt": prompt, "completions": sample.completions}
    items = [sample, *Item.objects.bulk_create(Item(**like_it, open_slots=[1]) for _ in range(MANY - 1))]
    Assignment.objects.bulk_create(
        Assignment(
            item=item, annotator=world.alice, slot=1, state=AssignmentState.SKIPPED, shown=item.completions,
            lease_expires_at=timezone.now(),
        )
        for item in items
    )  # fmt: skip
    return items


def add(world: World, count: int, **values: Any) -> list[Item]:
    names = [make_prompt(world.project, f"Name hill number {Item.objects.count() + each}.") for each in range(count)]
    return [make_ranking_item(world.project, prompt=prompt, **values) for prompt in names]


def items_read(world: World, statement: str) -> int:
    """How many rows of items taking looks at, in the step of it that looks at most."""
    asked = {
        "project": world.project.pk, "annotator": world.alice.pk, "languages": ["en"], "kinds": ["ranking"],
        "lease": "15 minutes", "purposes": [], "after": None, "near": leases.NEAR,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_item; analyze annotation_assignment; analyze annotation_membership")
        cursor.execute(f"explain (analyze, timing off, format json) {statement}", asked)
        plan = cursor.fetchone()[0][0]["Plan"]
    looked = [node for node in nodes(plan) if node.get("Relation Name") == "annotation_item"]
    return max(each["Actual Loops"] * (each["Actual Rows"] + each.get("Rows Removed by Filter", 0)) for each in looked)


def test_what_was_skipped_is_not_looked_at_again_each_time(world: World, skipped: list[Item]) -> None:
    assert MANY > 2 * leases.NEAR
    first, _second = add(world, 2)
    piece = taken(world.project, world.alice)
    assert piece.item == first
    rank(piece)
    assert items_read(world, statements.TAKE) <= leases.NEAR
    assert items_read(world, statements.TAKE_FARTHER) == 1


def test_what_others_hold_is_not_looked_at(world: World, skipped: list[Item]) -> None:
    far = timezone.now() + timedelta(days=1)
    Item.objects.filter(pk__in=[item.pk for item in skipped]).update(open_slots=[])
    Assignment.objects.filter(item__in=skipped).update(
        annotator=world.bob, state=AssignmentState.LEASED, lease_expires_at=far
    )
    [free] = add(world, 1)
    assert items_read(world, statements.TAKE) == 1
    assert taken(world.project, world.alice).item == free


def test_the_pieces_ahead_come_in_their_order_and_urgent_new_ones_first(world: World, skipped: list[Item]) -> None:
    ahead = add(world, 3)
    for item in ahead[:2]:
        piece = taken(world.project, world.alice)
        assert piece.item == item
        rank(piece)
    [urgent] = add(world, 1, priority=5)
    for item in (urgent, ahead[2]):
        piece = taken(world.project, world.alice)
        assert piece.item == item
        rank(piece)
    assert take(world.project, world.alice) is None


def test_less_urgent_pieces_lie_ahead_too(world: World, skipped: list[Item]) -> None:
    [early] = add(world, 1, priority=-1)
    [late] = add(world, 1)
    for item in (late, early):
        piece = taken(world.project, world.alice)
        assert piece.item == item
        rank(piece)


def test_what_opens_again_behind_ones_place_comes_once_nothing_lies_ahead(world: World, skipped: list[Item]) -> None:
    carol = make_person("carol")
    behind, ahead, last = add(world, 3)
    Item.objects.filter(pk=behind.pk).update(priority=1)
    held = taken(world.project, carol)
    assert held.item == behind
    Item.objects.filter(pk=behind.pk).update(priority=0)
    rank(taken(world.project, world.alice))
    leases.skip(held, reason=SkipReason.OTHER)
    found = []
    while (piece := take(world.project, world.alice)) is not None:
        found.append(rank(piece).assignment.item)
    assert found == [last, behind]
    assert Membership.objects.get(user=world.alice).place_item == behind.pk
    assert ahead.assignments.get().annotator == world.alice


def test_a_newcomer_begins_with_the_oldest(world: World, skipped: list[Item]) -> None:
    add(world, 1)
    assert taken(world.project, world.bob).item == skipped[0]
    assert Membership.objects.get(user=world.bob).place_item is None
