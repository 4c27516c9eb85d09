"""Texts added in bulk, and the pieces of work that follow."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import IntegrityError

from annotation.adding import NewCompletion, NewPrompt, RankingSet, add_completions, add_prompts, add_ranking_items
from annotation.copying import copied
from annotation.exporting import ranking_rows
from annotation.models import Completion, Item, ItemKind, Prompt
from annotation.progress import progress
from annotation.refusals import Refused
from tests.world import World, answer, make_generator, make_prompt, make_ranking_item, rank, taken


def completions(world: World, *texts: str, **prompt: Any) -> RankingSet:
    asked = make_prompt(world.project, **prompt)
    rows = [NewCompletion(asked.pk, text, {}) for text in texts]
    return RankingSet(asked, [each.pk for each in add_completions(make_generator(world.project), rows)])


def test_completions_keep_how_they_were_made_and_their_order(world: World) -> None:
    prompt = make_prompt(world.project)
    rows = [NewCompletion(prompt.pk, f"{n}\x00", {"temperature": n / 10}, seed=2**62 + n) for n in range(3)]
    added = add_completions(make_generator(world.project), rows)
    assert list(Completion.objects.order_by("pk")) == added
    assert [(each.text, each.sampling, each.seed) for each in Completion.objects.order_by("pk")] == [
        (f"{n}\ufffd", {"temperature": n / 10}, 2**62 + n) for n in range(3)
    ]


def test_twelve_thousand_completions_take_seconds_and_few_statements(
    world: World, django_assert_max_num_queries: Any
) -> None:
    prompts = add_prompts(world.project, [NewPrompt([{"role": "user", "content": f"{n}?"}]) for n in range(1_000)])
    rows = (NewCompletion(prompt.pk, f"{n} " * 40, {"seed": n}, n) for n in range(12) for prompt in prompts)
    started = time.perf_counter()
    with django_assert_max_num_queries(50):
        added = add_completions(make_generator(world.project), rows)
    assert len(added) == 12_000
    assert time.perf_counter() - started < 30, "a second or two on an idle machine"


def test_completions_of_another_projects_prompt_are_refused(world: World) -> None:
    foreign = make_prompt(world.next_door)
    with pytest.raises(Refused, match="no prompt"):
        add_completions(make_generator(world.project), [NewCompletion(foreign.pk, "Hi", {})])
    assert not Completion.objects.exists()


def test_sets_wait_in_the_queue_with_the_prompts_author_and_language(world: World) -> None:
    chosen = completions(world, "One", "Two", author=world.alice)
    (item,) = add_ranking_items(world.project, [chosen], priority=3, overlap=2)
    item.refresh_from_db()
    assert (item.kind, item.author, item.language, item.priority) == (ItemKind.RANKING, world.alice, "en", 3)
    assert (item.completions, item.overlap, item.open_slots) == (list(chosen.completion_ids), 2, [1, 2])


def test_the_overlap_is_the_projects_unless_said(world: World) -> None:
    world.project.overlap = 3
    (item,) = add_ranking_items(world.project, [completions(world, "One", "Two")])
    assert item.open_slots == [1, 2, 3]


def test_a_set_with_an_output_twice_is_refused_and_none_is_added(world: World) -> None:
    good, bad = completions(world, "One", "Two"), completions(world, "One", "Two")
    with pytest.raises(Refused, match="output twice"):
        add_ranking_items(world.project, [good, bad._replace(completion_ids=[bad.completion_ids[0]] * 2)])
    assert not Item.objects.exists()


def test_of_equal_texts_one_is_shown_and_the_twin_takes_its_rank(world: World) -> None:
    one, other, twin = (chosen := completions(world, "Yes.", "No.", "Yes.\n")).completion_ids
    (item,) = add_ranking_items(world.project, [chosen])
    assert (item.completions, item.twins) == ([one, other], {str(twin): one})
    ranking = rank(taken(world.project, world.alice), [[other], [one]], ratings={one: 3}, acceptable=1)
    assert ranking.ranks_with_twins() == {other: 1, one: 2, twin: 2}
    (row,) = ranking_rows(world.project)
    assert [
        (each["rank"], each.get("rating"), each["acceptable"]) for each in row["completions"] if each["rank"] == 2
    ] == [(2, 3, False)] * 2


def test_a_set_of_nothing_but_equal_texts_makes_no_piece_of_work(world: World) -> None:
    assert add_ranking_items(world.project, [completions(world, "Yes.", "Yes.")]) == []


def test_a_set_has_two_to_nine_outputs_of_its_own_prompt(world: World) -> None:
    one, other = completions(world, "One", "Two"), completions(world, *map(str, range(10)))
    with pytest.raises(Refused, match="1 outputs; expected 2 to 9"):
        add_ranking_items(world.project, [RankingSet(one.prompt, one.completion_ids[:1])])
    with pytest.raises(Refused, match="10 outputs; expected 2 to 9"):
        add_ranking_items(world.project, [other])
    with pytest.raises(Refused, match="of another prompt"):
        add_ranking_items(world.project, [RankingSet(one.prompt, [one.completion_ids[0], other.completion_ids[0]])])
    with pytest.raises(Refused, match="of another prompt"):
        add_ranking_items(world.next_door, [one])


def test_answers_are_asked_for_as_often_as_the_project_wants(world: World) -> None:
    world.project.demonstrations_per_prompt = 2
    make_prompt(world.project, author=world.alice)
    item = Item.objects.get()
    assert (item.kind, item.overlap, item.open_slots, item.author) == ("demonstration", 2, [1, 2], world.alice)


def test_progress_counts_what_there_is_and_what_waits(world: World) -> None:
    world.project.instructions_wanted = 10
    world.project.demonstrations_per_prompt = 2
    make_ranking_item(world.project, overlap=2)
    answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION))
    rank(taken(world.project, world.alice, ItemKind.RANKING))
    taken(world.project, world.bob, ItemKind.RANKING)
    taken(world.project, world.bob, ItemKind.INSTRUCTION)
    found = progress(world.project)
    assert (found.prompts, found.demonstrations, found.completions, found.rankings) == (1, 1, 4, 1)
    assert found.open == {ItemKind.INSTRUCTION: 8, ItemKind.DEMONSTRATION: 1, ItemKind.RANKING: 0}
    assert (found.leased, found.active_annotators) == (2, 2)


def test_what_is_copied_is_what_inserting_would_have_kept(world: World) -> None:
    """Every kind of field, with all that COPY has a meaning for, and the moment that we do not give."""
    prompt = make_prompt(world.project, "Tabs\tand \\N and \\.\nlines\r\n“quoted” 你好 {1,2} \b")
    texts = ("\\N", "", "a\tb\\c\nd\r", "\\.")
    generator = make_generator(world.project)
    fields = [
        {"prompt": prompt, "generator": generator, "text": text, "sampling": {"top_p": [1, None, text]}, "seed": seed}
        for text, seed in zip(texts, (None, 0, -(2**40), 7), strict=True)
    ]
    ours = copied(Completion(**each) for each in fields)
    theirs = Completion.objects.bulk_create(Completion(**each) for each in fields)
    names = [field.attname for field in Completion._meta.concrete_fields if field.attname not in ("id", "created_at")]
    there = Completion.objects.in_bulk([each.pk for each in ours + theirs])
    for one, other in zip(ours, theirs, strict=True):
        assert {name: getattr(there[one.pk], name) for name in names} == {
            name: getattr(there[other.pk], name) for name in names
        }
        assert there[one.pk].created_at == one.created_at
    prompt.refresh_from_db()
    again = Prompt.objects.get(pk=copied([Prompt(**model_values(prompt))])[0].pk)
    assert model_values(again) == model_values(prompt)
    assert copied([]) == []


def test_what_the_database_refuses_is_refused_when_it_is_copied(world: World) -> None:
    prompt = make_prompt(world.project)
    with pytest.raises(IntegrityError, match="item_has_what_its_kind_needs"):
        copied([Item(project=world.project, kind=ItemKind.RANKING, prompt=prompt)])


def model_values(prompt: Prompt) -> dict[str, Any]:
    return {field.attname: getattr(prompt, field.attname) for field in prompt._meta.concrete_fields[1:]}
