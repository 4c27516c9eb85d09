"""Outputs that say who wrote them are found, held out of ranking sets, and let in again by an admin alone."""

from __future__ import annotations

import re
import time

import pytest

from annotation.adding import NewCompletion, RankingSet, add_completions, add_ranking_items, allow
from annotation.giveaways import MAKERS, NAMES, giveaway
from annotation.models import Completion, Item
from tests.world import World, make_generator, make_prompt, rank, taken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("As Claude, I can't do that.", "As Claude"),
        ("Sure! I am ChatGPT, a large language model.", "I am ChatGPT"),
        ("Hello, I'm **Gemini**.", "I'm **Gemini"),
        ("I’m GPT-4 Turbo.", "I’m GPT-4 Turbo"),
        ("As an AI language model developed by OpenAI, I think…", "AI language model developed by OpenAI"),
        ("I was created by Anthropic to be helpful.", "I was created by Anthropic"),
        ("My creators at Google asked me not to.", "My creators at Google"),
        ("ChatGPT: Here is a poem.", "ChatGPT:"),
        ("你好，我是通义千问。", "我是通义千问"),
        ("作为ChatGPT，我不能……", "作为ChatGPT"),
        ("我是由百度开发的语言模型。", "我是由百度开发"),
    ],
)
def test_what_a_model_says_of_itself_is_found(text: str, words: str) -> None:
    assert giveaway(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "I am Claude Monet, and these are my water lilies.",
        "The painter, known as Claude Monet, lived in Giverny.",
        "ChatGPT is a chatbot developed by a company in San Francisco.",
        "As an AI language model, I have no opinion.",
        "I am a Gemini, so I talk a lot.",
        "Microsoft made Word. I use it daily.",
        "通义千问是一个语言模型。",
        "Use GPT partitions rather than MBR.",
        "",
    ],
)
def test_what_is_only_about_a_model_is_not(text: str) -> None:
    assert giveaway(text) == ""


def test_the_generators_own_name_is_known() -> None:
    assert giveaway("I am Plumb-7, at your service.") == ""
    assert giveaway("I am Plumb-7, at your service.", generator="Plumb-7") == "I am Plumb-7"


def test_the_quick_look_misses_no_name_or_maker() -> None:
    """What the patterns take for a name, in full or with what may be left out, is never passed over."""
    for name in f"{NAMES}|{MAKERS}".split("|"):
        full = re.sub(r"\(\?:([^)]*)\)\??", r"\1", name).replace(" ?", " ")
        bare = re.sub(r"\(\?:[^)]*\)\?| \?", "", name)
        for said in (full, bare, bare.upper()):
            assert giveaway(f"I am {said}, a model trained by {said}."), said


def test_a_long_text_takes_milliseconds() -> None:
    text = "I am an assistant, and as a model I say AI and I am made, 我是由 " * 400
    started = time.perf_counter()
    giveaway(text, generator="sft")
    assert time.perf_counter() - started < 1


def make_set(world: World, *texts: str) -> RankingSet:
    prompt = make_prompt(world.project)
    rows = [NewCompletion(prompt.pk, text, {}) for text in texts]
    return RankingSet(prompt, [each.pk for each in add_completions(make_generator(world.project), rows)])


def test_a_held_output_is_not_shown_and_the_others_are(world: World) -> None:
    chosen = make_set(world, "Paris.", "I am ChatGPT. Paris.", "London.")
    (item,) = add_ranking_items(world.project, [chosen])
    assert item.held == [chosen.completion_ids[1]]
    assert chosen.completion_ids[1] not in taken(world.project, world.alice).shown
    assert Completion.objects.held().get().giveaway == "I am ChatGPT"


def test_an_allowed_output_joins_its_set_where_nobody_has_begun(world: World) -> None:
    chosen = make_set(world, "Paris.", "I am ChatGPT. Paris.", "London.")
    add_ranking_items(world.project, [chosen])
    allow(Completion.objects.held().get(), by=world.ada)
    assert Item.objects.get().held == []
    assert sorted(taken(world.project, world.alice).shown) == sorted(chosen.completion_ids)
    assert Completion.objects.exclude(giveaway="").get().allowed_by == world.ada


def test_an_allowed_output_comes_in_a_new_set_where_somebody_has_begun(world: World) -> None:
    chosen = make_set(world, "Paris.", "I am ChatGPT. Paris.", "London.")
    add_ranking_items(world.project, [chosen], overlap=2)
    rank(taken(world.project, world.alice))
    allow(Completion.objects.held().get(), by=world.ada)
    _begun, fresh = Item.objects.order_by("pk")
    assert sorted(fresh.completions) == sorted(chosen.completion_ids)
    assert fresh.open_slots == [1, 2]


def test_a_set_that_was_too_small_is_made_once_enough_are_allowed(world: World) -> None:
    chosen = make_set(world, "I am ChatGPT. Paris.", "I am Claude. London.")
    assert add_ranking_items(world.project, [chosen]) == []
    first, second = Completion.objects.held()
    allow(first, by=world.ada)
    assert not Item.objects.exists()
    allow(second, by=world.ada)
    allow(second, by=world.ada)
    assert sorted(Item.objects.get().completions) == sorted(chosen.completion_ids)
