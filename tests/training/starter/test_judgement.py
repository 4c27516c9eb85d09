"""A simulated annotator's judgement: the gold with noise, ties and taste, the same every time."""

from __future__ import annotations

from itertools import combinations
from random import Random
from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from training.starter.answers import from_corpus
from training.starter.corpus import distinct, instructions
from training.starter.gold import score
from training.starter.judgement import Annotator

PROMPT = "What is the capital of Italy?"
BEST = "The capital of Italy is Rome. It is a city in Europe."
WORST = "I do not know."
PEOPLE = [Annotator(f"annotator-{number}") for number in range(6)]


def sets(count: int = 60) -> list[tuple[str, list[str]]]:
    rng = Random(0)
    return [
        (i.text, sorted({from_corpus(i, rng)[0] for _ in range(8)})[:4])
        for i in distinct(instructions(rng, "train"), count)
    ]


@given(st.permutations([BEST, WORST, "Rome.", "Rome is the capital of Italy.", "Madrid is the capital of Italy."]))
def test_the_order_in_which_answers_are_shown_does_not_matter(texts: list[str]) -> None:
    person = PEOPLE[0]
    order = [{texts[place] for place in group} for group in person.ranks(PROMPT, texts).groups]
    assert order == [{sorted(texts)[place] for place in group} for group in person.ranks(PROMPT, sorted(texts)).groups]


def test_groups_hold_every_answer_once_and_agree_with_ranks_and_ratings() -> None:
    for prompt, texts in sets():
        judgement = PEOPLE[1].ranks(prompt, texts)
        assert sorted(place for group in judgement.groups for place in group) == list(range(len(texts)))
        assert all(1 <= rating <= 7 for rating in judgement.ratings)
        for a, b in combinations(range(len(texts)), 2):
            if judgement.ranks[a] < judgement.ranks[b]:
                assert judgement.ratings[a] >= judgement.ratings[b]


def test_equal_answers_are_tied() -> None:
    assert PEOPLE[0].ranks(PROMPT, [BEST, WORST, BEST]).groups[0] == (0, 2)


def test_a_judgement_is_repeated_exactly_and_another_seed_gives_another_look() -> None:
    texts = ["Rome is the capital of Italy.", "The capital of Italy is Rome.", "Rome."]
    assert PEOPLE[0].ranks(PROMPT, texts) == Annotator(PEOPLE[0].name).ranks(PROMPT, texts)
    looks = {Annotator(PEOPLE[0].name, seed=seed).ranks(PROMPT, texts).ranks for seed in range(20)}
    assert len(looks) > 1


def test_annotators_without_noise_follow_the_gold_up_to_their_taste() -> None:
    for prompt, texts in sets():
        ranks = Annotator("calm", noise=0.0).ranks(prompt, texts).ranks
        for a, b in combinations(range(len(texts)), 2):
            if score(prompt, texts[a]) - score(prompt, texts[b]) > 0.3:
                assert ranks[a] < ranks[b]


def test_annotators_mostly_agree_sometimes_tie_and_sometimes_do_not() -> None:
    agreements, ties = [], []
    for prompt, texts in sets():
        one, other = (person.ranks(prompt, texts).ranks for person in PEOPLE[:2])
        for a, b in combinations(range(len(texts)), 2):
            left, right = one[a] - one[b], other[a] - other[b]
            ties.append(left == 0)
            if left and right:
                agreements.append(left * right > 0)
    assert 0.02 < mean(ties) < 0.4
    assert 0.7 < mean(agreements) < 0.95


def test_flags_say_what_is_wrong() -> None:
    texts = [BEST, "That is a silly question. " + BEST, "Madrid is the capital of Italy.", f"{BEST} {BEST}", "Rome."]
    best, rude, wrong, twice, curt = PEOPLE[0].ranks(PROMPT, texts).flags
    assert best == ()
    assert rude == ("rude",)
    assert set(wrong) == {"fails_instruction", "wrong"}
    assert twice == ("repetitive",)
    assert curt == ("incomplete",)
