from __future__ import annotations

import pytest

from annotation.collection import NewCompletion, RankingSet, add_completions, add_ranking_items
from tests.training.world import Lab
from tests.world import make_generator, make_prompt
from training.simulation.figures import can_be_compared


@pytest.mark.parametrize(
    ("one", "other", "both"), [("a", "b", True), ("a", "a", False), (" a", "a  ", False), ("a", " ", False)]
)
def test_what_can_be_compared_is_what_the_queue_shows_two_of(lab: Lab, one: str, other: str, *, both: bool) -> None:
    assert can_be_compared(one, other) == both
    if not one.strip() or not other.strip():
        return  # the queue refuses an empty output
    prompt = make_prompt(lab.project, "Which?")
    made = [
        add_completions(make_generator(lab.project, name), [NewCompletion(prompt.pk, text, {})])[0]
        for name, text in (("sft", one), ("ppo", other))
    ]
    items = add_ranking_items(lab.project, [RankingSet(prompt, [each.pk for each in made])])
    assert bool(items) == both
