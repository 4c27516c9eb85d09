"""Rejected work is not done: every place that counts what is done, or what is left, says the same."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation import assignment, reviewing
from annotation.collection import submit_instruction
from annotation.models import Item, ItemKind, ReviewState, Role, SkipReason, WorkKind
from annotation.progress import progress
from annotation.quality import judgements_of
from tests.world import World, answer, make_person, make_prompt, make_ranking_item, make_world, rank, taken


@pytest.fixture
def world(db: None) -> World:
    return make_world(demonstrations_per_prompt=1, instructions_wanted=2)


def decide(world: World, kind: WorkKind, piece: Any, state: ReviewState = ReviewState.REJECTED) -> None:
    assert reviewing.decide(world.project, reviewer=world.rita, kind=kind, pieces=[piece.pk], state=state, reason="no")


def left(world: World) -> tuple[int, int, int]:
    """What the project's page says is open, which has to be what people are given."""
    said = progress(world.project).open
    return said[ItemKind.INSTRUCTION], said[ItemKind.DEMONSTRATION], said[ItemKind.RANKING]


def done(world: World) -> tuple[int, int, int]:
    said = progress(world.project)
    assert said.rankings == len(judgements_of(world.project))
    return said.prompts, said.demonstrations, said.rankings


def instruct(world: World, text: str) -> Any:
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    return submit_instruction(
        piece, client_key=uuid.uuid4(), messages=[{"role": "user", "content": text}], kind="plain",
        use_case="chat", language="en",
    )  # fmt: skip


def test_an_instruction_that_is_rejected_is_wanted_again(world: World) -> None:
    first, _second = instruct(world, "One?"), instruct(world, "Two?")
    assert left(world)[0] == 0
    assert assignment.take(world.project, world.bob, kinds=[ItemKind.INSTRUCTION]) is None
    decide(world, WorkKind.PROMPT, first)
    assert (left(world)[0], done(world)[0]) == (1, 1)
    assert assignment.take(world.project, world.bob, kinds=[ItemKind.INSTRUCTION]) is not None
    assert left(world)[0] == 0
    decide(world, WorkKind.PROMPT, first, ReviewState.ACCEPTED)
    assert (left(world)[0], done(world)[0]) == (0, 2)


@pytest.mark.parametrize(("kind", "place"), [(WorkKind.DEMONSTRATION, 1), (WorkKind.RANKING, 2)])
def test_a_rejected_piece_is_open_again_and_counted_no_more(world: World, kind: WorkKind, place: int) -> None:
    prompt = make_prompt(world.project, "Capital?")
    if kind == WorkKind.RANKING:
        make_ranking_item(world.project, prompt=prompt, overlap=1)
    of_kind = ItemKind(kind.value)
    piece = taken(world.project, world.alice, of_kind)
    record = answer(piece) if kind == WorkKind.DEMONSTRATION else rank(piece)
    assert (left(world)[place], done(world)[place]) == (0, 1)
    decide(world, kind, record)
    assert (left(world)[place], done(world)[place]) == (1, 0)
    assert assignment.take(world.project, world.alice, kinds=[of_kind]) is None  # not the same person once more
    again = taken(world.project, world.bob, of_kind)
    assert left(world)[place] == 0
    if kind == WorkKind.DEMONSTRATION:
        answer(again)
    else:
        rank(again)
    assert (left(world)[place], done(world)[place]) == (0, 1)


def test_nobody_is_asked_about_an_instruction_that_is_rejected(world: World) -> None:
    prompt = make_prompt(world.project, "Capital?")
    item = make_ranking_item(world.project, prompt=prompt, overlap=3)
    rank(taken(world.project, world.alice, ItemKind.RANKING))
    in_hand = taken(world.project, world.bob, ItemKind.RANKING)
    decide(world, WorkKind.PROMPT, prompt)
    assert left(world)[1:] == (0, 0)
    assert done(world) == (0, 0, 0)
    assignment.skip(in_hand, reason=SkipReason.OTHER)
    assert left(world)[1:] == (0, 0)
    decide(world, WorkKind.PROMPT, prompt, ReviewState.ACCEPTED)
    assert left(world)[1:] == (1, 2)
    assert sorted(Item.objects.get(pk=item.pk).open_slots) == [2, 3]
    assert done(world) == (1, 0, 1)


def test_an_answer_accepted_while_its_instruction_is_rejected_asks_nobody_once_that_is_taken_back(
    world: World,
) -> None:
    prompt = make_prompt(world.project, "Capital?")
    record = answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION))
    decide(world, WorkKind.DEMONSTRATION, record)
    decide(world, WorkKind.PROMPT, prompt)
    decide(world, WorkKind.DEMONSTRATION, record, ReviewState.ACCEPTED)
    decide(world, WorkKind.PROMPT, prompt, ReviewState.ACCEPTED)
    item = Item.objects.get(prompt=prompt)
    assert (item.overlap, item.open_slots) == (1, [])
    assert (left(world)[1], done(world)[1]) == (0, 1)


def test_a_rejection_taken_back_gives_up_the_slot_that_is_free_whichever_it_is(world: World) -> None:
    carol = make_person("carol", world.project, Role.ANNOTATOR)
    item = make_ranking_item(world.project, overlap=2)
    record = rank(taken(world.project, world.alice, ItemKind.RANKING))
    decide(world, WorkKind.RANKING, record)
    bobs, carols = (taken(world.project, person, ItemKind.RANKING) for person in (world.bob, carol))
    assert (bobs.slot, carols.slot) == (2, 3)
    assignment.skip(bobs, reason=SkipReason.OTHER)
    decide(world, WorkKind.RANKING, record, ReviewState.ACCEPTED)
    item.refresh_from_db()
    carols.refresh_from_db()
    assert (item.overlap, item.open_slots, carols.slot) == (2, [], 2)
    rank(carols)
    assert left(world)[2] == 0


def test_a_lease_that_runs_out_does_not_open_what_is_rejected(world: World) -> None:
    prompt = make_prompt(world.project, "Capital?")
    make_ranking_item(world.project, prompt=prompt, overlap=2)
    in_hand = taken(world.project, world.bob, ItemKind.RANKING)
    decide(world, WorkKind.PROMPT, prompt)
    type(in_hand).objects.filter(pk=in_hand.pk).update(lease_expires_at=timezone.now() - timedelta(hours=1))
    assert assignment.release_expired() == 1
    assert left(world)[1:] == (0, 0)
    assert assignment.take(world.project, world.alice, kinds=[ItemKind.RANKING]) is None
    decide(world, WorkKind.PROMPT, prompt, ReviewState.PENDING)
    assert left(world)[2] == 2


def test_who_is_at_it_while_the_instruction_is_rejected_may_finish(world: World) -> None:
    prompt = make_prompt(world.project, "Capital?")
    make_ranking_item(world.project, prompt=prompt, overlap=2)
    in_hand = taken(world.project, world.bob, ItemKind.RANKING)
    decide(world, WorkKind.PROMPT, prompt)
    ranking = rank(in_hand)
    decide(world, WorkKind.RANKING, ranking)
    assert left(world)[1:] == (0, 0)  # nor is a rejected ranking of it asked for again
    decide(world, WorkKind.PROMPT, prompt, ReviewState.ACCEPTED)
    assert left(world)[2] == 2
