"""Where systems like this one went wrong before, each as a test, unless it stands with the part it is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from annotation import assignment as leases
from annotation import reviewing
from annotation.bradley_terry import Duels, fit
from annotation.exporting import comparison_rows, ranking_rows
from annotation.importing import import_rows
from annotation.messages import nudge
from annotation.models import Completion, Demonstration, Item, ItemKind, Ranking, ReviewState, WorkKind
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken


def reject(world: World, kind: WorkKind, *pieces: int, state: ReviewState = ReviewState.REJECTED) -> None:
    reviewing.decide(world.project, reviewer=world.rita, kind=kind, pieces=pieces, state=state, reason="Wrong.")


def slots_add_up(item: Item) -> None:
    held = item.assignments.live().values_list("slot", flat=True)
    assert sorted([*item.open_slots, *held]) == list(range(1, item.overlap + 1))


@pytest.fixture
def answered(world: World) -> Demonstration:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    return answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION))


def test_a_prompt_whose_only_answer_was_rejected_is_asked_again_of_somebody_else(
    world: World, answered: Demonstration
) -> None:
    assert leases.take(world.project, world.bob) is None
    reject(world, WorkKind.DEMONSTRATION, answered.pk)
    assert leases.take(world.project, world.alice) is None
    again = taken(world.project, world.bob, ItemKind.DEMONSTRATION)
    assert again.item.asked == answered.prompt
    slots_add_up(again.item)


def test_a_rejection_taken_back_asks_nobody_again(world: World, answered: Demonstration) -> None:
    reject(world, WorkKind.DEMONSTRATION, answered.pk)
    reject(world, WorkKind.DEMONSTRATION, answered.pk, state=ReviewState.ACCEPTED)
    assert leases.take(world.project, world.bob) is None
    slots_add_up(Item.objects.get())


def test_a_rejection_taken_back_too_late_leaves_the_one_at_it_alone(world: World, answered: Demonstration) -> None:
    reject(world, WorkKind.DEMONSTRATION, answered.pk)
    at_it = taken(world.project, world.bob, ItemKind.DEMONSTRATION)
    reject(world, WorkKind.DEMONSTRATION, answered.pk, state=ReviewState.ACCEPTED)
    assert answer(at_it).author == world.bob
    slots_add_up(Item.objects.get())


@pytest.mark.parametrize("rejected", [1, 2])
def test_as_many_more_rankings_are_asked_for_as_were_rejected(world: World, rejected: int) -> None:
    item = make_ranking_item(world.project, overlap=2)
    made = [rank(taken(world.project, person)).pk for person in (world.alice, world.bob)]
    reject(world, WorkKind.RANKING, *made[:rejected])
    item.refresh_from_db()
    assert len(item.open_slots) == rejected
    slots_add_up(item)


def test_two_opposite_votes_are_a_tie_whoever_votes_first() -> None:
    for votes in ([1, -1], [-1, 1]):
        duels = Duels(
            prompts=np.array([0, 1]), first=np.zeros(2, int), second=np.ones(2, int), outcomes=np.array(votes),
            differences=np.empty((2, 0)), generators=2,
        )  # fmt: skip
        assert fit(duels).win_shares() == pytest.approx([0.5, 0.5])


def test_a_set_of_which_nothing_is_acceptable_gives_no_comparison(world: World) -> None:
    for acceptable in (0, 1, None):
        make_ranking_item(world.project, texts=(f"good {acceptable}", f"bad {acceptable}"))
        rank(taken(world.project, world.alice), acceptable=acceptable)
    compared = {row["chosen"].split()[-1] for row in comparison_rows(world.project)}
    assert compared == {"1", "None"}
    assert Ranking.objects.count() == len(list(ranking_rows(world.project))) == 3


def test_what_was_not_answered_is_absent_and_not_nought(world: World) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    rank(taken(world.project, world.alice))
    for output in next(iter(ranking_rows(world.project)))["completions"]:
        assert output.keys() == {"text", "rank", "model"}


@pytest.mark.parametrize("place", range(4))
def test_each_output_of_a_set_is_looked_at_wherever_it_stands(world: World, place: int) -> None:
    texts = ["one", "two", "three", "four"]
    texts[place] = "As Claude, I can't."
    make_ranking_item(world.project, texts=tuple(texts))
    (item,) = Item.objects.all()
    assert len(item.completions) == 3
    rank(taken(world.project, world.alice))
    assert "Claude" not in json.dumps([row["completions"] for row in ranking_rows(world.project)])


def test_outputs_that_come_later_make_a_set_of_their_own_and_none_is_dropped(world: World) -> None:
    line = {"prompt": "Which?", "language": "en"}
    for texts in (("one", "two"), ("three", "four")):
        row = json.dumps(line | {"completions": [{"text": text, "model": text} for text in texts]})
        file = SimpleUploadedFile("rows.jsonl", row.encode())
        assert import_rows(world.project, "completions", file, user=world.ada).rows == 1
        rank(taken(world.project, world.alice, ItemKind.RANKING))
    sets = [item.completions for item in Item.objects.filter(kind=ItemKind.RANKING).order_by("pk")]
    assert [len(each) for each in sets] == [2, 2]
    assert {pk for each in sets for pk in each} == set(Completion.objects.values_list("pk", flat=True))
    assert Ranking.objects.count() == 2


@transaction.atomic
def nudge_and_fail() -> None:
    nudge("report", 1)
    raise KeyError


def test_workers_are_told_after_the_commit_and_of_nothing_that_was_rolled_back(
    world: World, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("annotation.messages._send", lambda task, row_id: sent.append(task))
    with django_capture_on_commit_callbacks(execute=True):
        nudge("import", 1)
        assert sent == []
    assert sent == ["import"]
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(KeyError):
        nudge_and_fail()
    assert sent == ["import"]
