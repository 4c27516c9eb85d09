"""Sets of outputs by named generators, and rankings of them."""

from __future__ import annotations

from annotation.adding import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import Item, Prompt
from tests.world import World, make_generator


def make_duel(world: World, prompt: Prompt, *, names: tuple[str, ...] = ("one", "two"), overlap: int = 1) -> Item:
    """A piece of ranking work over one output of each generator."""
    outputs = [
        add_completions(make_generator(world.project, name), [NewCompletion(prompt.pk, f"By {name}.", {}, 0)])[0].pk
        for name in names
    ]
    return add_ranking_items(world.project, [RankingSet(prompt, outputs)], overlap=overlap)[0]
