"""What may be harmful goes only to those who agreed to see it."""

from __future__ import annotations

import io
import json

import pytest

from annotation import empty_queue
from annotation.adding import RankingSet, add_ranking_items
from annotation.assignment import take
from annotation.importing import import_rows
from annotation.models import Item, ItemKind, Membership, Prompt
from tests.world import World, make_prompt, make_ranking_item, taken


def agree(world: World) -> None:
    Membership.objects.filter(user=world.alice).update(sees_harmful=True)


def test_a_marked_set_goes_only_to_those_who_agreed(world: World) -> None:
    item = make_ranking_item(world.project)
    (marked,) = add_ranking_items(world.project, [RankingSet(item.asked, item.completions, harmful=True)], priority=5)
    agree(world)
    assert taken(world.project, world.alice).item == marked
    assert taken(world.project, world.bob).item == item


def test_nobody_else_gets_it_and_they_are_told_why(world: World) -> None:
    make_ranking_item(world.project, prompt=make_prompt(world.project, harmful=True))
    assert take(world.project, world.bob) is None
    assert "agreed" in empty_queue.why(world.project, world.bob)
    agree(world)
    assert taken(world.project, world.alice).item.harmful


@pytest.mark.parametrize(("kind", "prompt_marked"), [("instructions", True), ("completions", False)])
def test_a_file_marks_prompts_and_sets(world: World, kind: str, *, prompt_marked: bool) -> None:
    world.project.demonstrations_per_prompt = 1
    completions = [{"text": "a"}, {"text": "b"}]
    rows = [
        {"prompt": "One?", "completions": completions, "harmful": True},
        {"prompt": "Two?", "completions": completions},
    ]
    file = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
    report = import_rows(world.project, kind, file, user=world.ada, name="a.jsonl")
    assert (report.rows, report.bad) == (2, 0)
    assert [prompt.harmful for prompt in Prompt.objects.all()] == [prompt_marked, False]
    assert [item.harmful for item in Item.objects.all()] == [True, False]


def test_a_mark_that_comes_later_reaches_what_waits(world: World) -> None:
    prompt = make_prompt(world.project, "One?")
    make_ranking_item(world.project, prompt=prompt)
    file = io.BytesIO(json.dumps({"prompt": "One?", "harmful": True}).encode())
    import_rows(world.project, "instructions", file, user=world.ada, name="a.jsonl")
    assert Item.objects.get(kind=ItemKind.RANKING).harmful
