"""Sets of outputs by named generators, and rankings of them."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from annotation.adding import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import Item, Prompt, Ranking, UseCase
from tests.world import World, make_generator, make_prompt


def make_duel(world: World, prompt: Prompt, *, names: tuple[str, ...] = ("one", "two"), overlap: int = 1) -> Item:
    """A piece of ranking work over one output of each generator."""
    texts = [f"Output {number}. " * (len(names) - number) for number in range(len(names))]
    outputs = [
        add_completions(make_generator(world.project, name), [NewCompletion(prompt.pk, text, {}, 0)])[0].pk
        for name, text in zip(names, texts, strict=True)
    ]
    return add_ranking_items(world.project, [RankingSet(prompt, outputs)], overlap=overlap)[0]


def make_study(world: World, *, prompts: int = 40, names: tuple[str, ...] = ("one", "two", "three")) -> None:
    """Rankings by Alice, Bob and Ada over several weeks. "one" is mostly best; Bob leaves things as they are shown."""
    chance = random.Random(0)
    use_cases = [use_case.value for use_case in UseCase][:4]
    rankings: list[Ranking] = []
    for number in range(prompts):
        prompt = make_prompt(world.project, f"Question {number}?", use_case=use_cases[number % 4])
        outputs = make_duel(world, prompt, names=names).completions
        for person in (world.alice, world.bob, world.ada):
            shown = chance.sample(outputs, len(outputs))
            best_first = sorted(outputs, key=lambda output: outputs.index(output) + chance.gauss(0, 0.8))
            groups = [[output] for output in (shown if person == world.bob else best_first)]
            if chance.random() < 0.2:
                groups = [sorted(groups[0] + groups[1]), *groups[2:]]
            rankings.append(
                Ranking(
                    prompt=prompt, annotator=person, groups=groups, shown=shown, seconds=chance.uniform(20, 90),
                    created_at=timezone.now() - timedelta(days=prompts - number),
                )
            )  # fmt: skip
    Ranking.objects.bulk_create(rankings)
