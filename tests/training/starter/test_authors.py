"""Simulated authors: many, different, repeatable, and never on both sides of a split."""

from __future__ import annotations

from itertools import islice

from training.starter.authors import authors
from training.starter.gold import score
from training.starter.world import SPLITS


def test_there_are_at_least_40_authors_and_some_in_every_split_and_language() -> None:
    people = authors()
    assert len({person.name for person in people}) == len(people) >= 40
    assert {person.split for person in people} == set(SPLITS)
    assert {person.language for person in people} == {"en", "zh"}


def test_equal_prompts_share_a_split_whoever_writes_them() -> None:
    split_of: dict[str, str] = {}
    for person in authors():
        for instruction in islice(person.instructions(seed=0), 60):
            assert split_of.setdefault(instruction.text, person.split) == person.split


def test_an_application_can_split_authors_by_its_own_rule() -> None:
    people = authors(lambda name: "test" if name < "h" else "train")
    assert {person.split for person in people if person.name < "h"} == {"test"}
    assert all(i.split == "test" for i in islice(people[0].instructions(seed=0), 20))


def test_an_author_writes_the_same_for_a_seed_and_covers_every_use_case() -> None:
    person = authors()[0]
    first = list(islice(person.instructions(seed=3), 9))
    assert [i.text for i in first] == [i.text for i in islice(person.instructions(seed=3), 9)]
    assert len({i.use_case for i in first}) == 9
    assert [i.text for i in first] != [i.text for i in islice(person.instructions(seed=4), 9)]


def test_demonstrations_are_good_and_differ_in_completeness() -> None:
    scores = []
    for person in authors():
        for instruction in islice(person.instructions(seed=0), 6):
            text = person.demonstrate(instruction, seed=0)
            assert text == person.demonstrate(instruction, seed=0)
            scores.append(score(instruction.text, text))
    assert min(scores) >= 0.8
    assert min(scores) < max(scores)
