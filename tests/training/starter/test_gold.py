"""The gold judges what a person would: content, completeness, sentences, manners, length and repetition."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.starter.paraphrases import CHINESE, ENGLISH
from training.starter import reading
from training.starter.answers import curt, good, padded, repeated, rude, wrong
from training.starter.corpus import PROMPTS, distinct, instructions
from training.starter.gold import judge, score
from training.starter.instructions import WORLDS, Instruction, parse, tasks

BAD, GOOD = 0.2, 0.7


def sample(count: int = 300, *, split: str = "test") -> list[Instruction]:
    return distinct(instructions(Random(7), split), count)


def share_above(bar: float, scores: list[float]) -> float:
    return sum(value > bar for value in scores) / len(scores)


@pytest.mark.parametrize(("prompt", "answer"), ENGLISH + CHINESE)
def test_a_paraphrase_written_by_hand_scores_well(prompt: str, answer: str) -> None:
    assert score(prompt, answer) >= GOOD, judge(prompt, answer)


def test_paraphrases_cover_every_use_case_in_both_languages() -> None:
    for language, pairs in (("en", ENGLISH), ("zh", CHINESE)):
        covered = {found.task.name for prompt, _ in pairs if (found := parse(prompt))}
        assert covered == {task.name for task in tasks(language)}


@pytest.mark.parametrize("full", [False, True])
def test_every_demonstration_scores_well_and_the_complete_one_better(full: bool) -> None:  # noqa: FBT001
    for instruction in sample(split="train"):
        value = score(instruction.text, good(instruction, Random(1), full=full))
        assert value >= (1.0 if full else 0.8)


@pytest.mark.parametrize(
    "fixed",
    [
        "I am happy to help you with that. Please tell me more about it.",
        "The capital of France is Paris. It is a city in Europe.",
        "This is a very good question, and there are many ways to answer it.",
        "I am sorry about that. I hope you have a good time!",
        "好的，我很乐意帮助您。请告诉我更多。",
    ],
)
def test_a_fixed_text_scores_badly_on_nearly_any_prompt(fixed: str) -> None:
    assert share_above(BAD, [score(instruction.text, fixed) for instruction in sample()]) <= 0.02


def test_a_long_text_scores_badly_however_much_it_covers() -> None:
    answers = [good(instruction, Random(1), full=True) for instruction in sample(60, split="train")]
    for instruction in sample():
        own = good(instruction, Random(1), full=True)
        for long in (" ".join(answers[:12]), " ".join([own, *answers[:12]]), own * 8):
            assert score(instruction.text, long) <= BAD


def test_a_list_of_the_answers_keywords_scores_badly() -> None:
    scores = []
    for instruction in sample():
        answer = good(instruction, Random(1), full=True)
        words = [word for word in keywords(answer, instruction) if word]
        scores += [score(instruction.text, joint.join(words)) for joint in (", ", " ", "、")]
    assert share_above(BAD, scores) <= 0.03


def keywords(answer: str, instruction: Instruction) -> list[str]:
    """The words of the answer that carry its content: those that its wording did not bring."""
    if instruction.language == "zh":
        return [value for value in instruction.truth.values() if value in answer]
    return [word for word in re.findall(r"[A-Za-z]+", answer) if len(word) > 2 and word.lower() not in STOP]


STOP = set("the and you for can could are was its that this have has with would there they them him her from".split())


def test_another_prompts_demonstration_scores_badly() -> None:
    many, rng = sample(), Random(2)
    scores = []
    for instruction in many:
        other = rng.choice([i for i in many if i.language == instruction.language and i.text != instruction.text])
        scores.append(score(instruction.text, good(other, rng, full=True)))
    assert share_above(BAD, scores) <= 0.03


def test_an_answer_to_another_prompt_of_the_same_task_scores_badly() -> None:
    rng = Random(3)
    scores = []
    for instruction in sample():
        other = Instruction(instruction.task, instruction.wording, instruction.task.draw(rng))
        if not set(other.slots.values()) & set(instruction.slots.values()):
            scores.append(score(instruction.text, good(other, rng, full=True)))
    assert len(scores) > 100
    assert share_above(BAD, scores) <= 0.05


def test_each_stock_fault_costs_what_a_person_would_take_off() -> None:
    rng = Random(4)
    for instruction in sample():
        best = score(instruction.text, good(instruction, rng, full=True))
        assert score(instruction.text, rude(instruction, rng)) <= 0.3 * best
        assert score(instruction.text, repeated(instruction, rng)) <= 0.35 * best
        assert score(instruction.text, padded(instruction, rng)) <= 0.6 * best
        assert score(instruction.text, curt(instruction, rng)) <= 0.25 * best


def test_a_wrong_answer_scores_far_below_a_right_one() -> None:
    rng = Random(5)
    scores = [score(instruction.text, wrong(instruction, rng)) for instruction in sample()]
    assert share_above(0.25, scores) <= 0.02


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is the capital of Italy?", "The capital of the of Italy is is Rome."),
        ("What is the capital of Italy?", "The capital of Italy is Rome and"),
        ("What is the capital of Italy?", "The capital of Italy is not Rome but Madrid."),
        ("Make this polite: Give me the red cup!", "Give me the red cup!"),
        ("Read: Today Nina took a red cup to the zoo. Who took the cup?", "Today Nina took a red cup to the zoo."),
        ("Read: Today Nina took a red cup to the zoo. Who took the cup?", "Jack took the cup."),
        ("法国的首都是哪里？", "The capital of France is Paris."),
        ("What is the capital of Italy?", ""),
        ("What is the capital of Italy?", "罗马是意大利的首都。"),
    ],
)
def test_broken_wrong_echoed_and_foreign_answers_score_badly(prompt: str, answer: str) -> None:
    assert score(prompt, answer) <= 0.4


def test_a_review_is_judged_by_what_the_answer_says_and_not_by_a_word_in_it() -> None:
    prompt = "Is this review good or bad? The soup was awful."
    assert score(prompt, "The review of the soup is not good, because it was awful.") >= GOOD
    assert score(prompt, "The review of the soup is good.") <= BAD


def test_a_prompt_from_outside_the_world_is_judged_by_its_words_and_manners() -> None:
    prompt = "Explain how a bicycle stays upright."
    on_topic = "A bicycle stays upright because its wheels steer into a fall."
    assert parse(prompt) is None
    assert score(prompt, on_topic) > 0.5 > score(prompt, "I like the sea and the sand.")
    assert score(prompt, "That is a silly question. " + on_topic) < 0.5


@given(st.text(max_size=200))
def test_any_text_gets_a_score_between_0_and_1(text: str) -> None:
    for prompt in ("What is the capital of Italy?", "法国的首都是哪里？", "Anything else"):
        assert 0 <= score(prompt, text) <= 1


def test_every_prompt_is_read_back_as_it_was_drawn() -> None:
    for language in WORLDS:
        for task in tasks(language):
            for wording in range(len(task.phrases.prompts)):
                drawn = Instruction(task, wording, task.draw(Random(wording)))
                found = parse(drawn.text)
                assert found is not None
                assert (found.task, found.combination) == (task, drawn.combination)


def test_a_sentence_is_told_from_a_list() -> None:
    assert reading.is_sentence("Anna got a key at the park.")
    assert reading.is_sentence("Bears eat honey.")
    assert not reading.is_sentence("capital, France, Paris")
    assert not reading.is_sentence("Swim, build a castle, collect shells.")
    assert not reading.is_sentence("In the forest.")
    assert reading.is_sentence("小明在公园买了帽子。")
    assert not reading.is_sentence("法国、首都、巴黎")


def test_there_are_prompts_enough_for_500_held_out_ones() -> None:
    split, count = PROMPTS["prompts_held_out"]
    assert split == "test"
    assert count >= 500
