"""From the playground to the queue: what is sent, under whose name, in which split, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.adding import NewPrompt, add_prompts
from annotation.models import AuditEntry, Completion, Item, ItemKind, Pool, Project, Prompt, Split
from annotation.refusals import Refused
from annotation.wording import split_for
from tests.training.playground.scene import Scene
from training.playground import queueing
from training.playground.answering import Answer

ABOUT: dict[str, Any] = {"use_case": "open_qa", "language": "en"}


def opened(scene: Scene, *answers: Answer) -> list[dict[str, Any]]:
    rosa = scene.people.rosa
    tokens = [queueing.signed(each, project=scene.project, by=rosa, few_shot=False) for each in answers]
    return [queueing.opened(token, project=scene.project, by=rosa) for token in tokens]


def have_ranked(scene: Scene, *answers: Answer) -> Item:
    return queueing.have_ranked(scene.project, opened(scene, *answers), by=scene.people.rosa, **ABOUT)


def test_two_answers_become_a_blind_set_with_their_generators_and_settings(scene: Scene) -> None:
    item = have_ranked(scene, scene.given("Paris."), scene.given("Rome.", policy=scene.sft))
    one, other = (Completion.objects.get(pk=pk) for pk in item.completions)
    assert (one.text, one.generator) == ("Paris.", scene.policy.generator)
    assert (other.text, other.generator) == ("Rome.", scene.sft.generator)
    assert one.seed == 3
    assert one.sampling["temperature"] == 1.0
    assert one.sampling["logprob"] == -0.6
    assert one.sampling["reward"] == 1.5
    assert item.kind == ItemKind.RANKING
    assert item.asked.text == "one dog"
    assert item.asked.use_case == "open_qa"
    [entry] = AuditEntry.objects.filter(action="playground_ranking")
    assert entry.actor_id == scene.people.rosa.pk
    assert entry.details == {"prompt": item.asked.pk, "outputs": 2}


def test_a_new_prompt_has_its_writers_split(scene: Scene) -> None:
    item = have_ranked(scene, scene.given("Paris."), scene.given("Rome."))
    assert item.asked.author == scene.people.rosa
    assert item.asked.split == split_for(scene.project.pk, scene.people.rosa.pk, item.asked.digest)


def test_a_prompt_that_the_project_has_keeps_its_split_and_is_not_added_again(scene: Scene) -> None:
    messages = [{"role": "user", "content": "one dog"}]
    [known] = add_prompts(scene.project, [NewPrompt(messages, split=Split.TEST)])
    item = have_ranked(scene, scene.given("Paris."), scene.given("Rome."))
    assert item.asked == known
    assert Prompt.objects.filter(project=scene.project, digest=known.digest).count() == 1
    assert "held out" in queueing.trains(known)


def test_one_answer_is_ranked_among_other_outputs_to_the_same_prompt(scene: Scene) -> None:
    with pytest.raises(Refused, match="two different outputs"):
        have_ranked(scene, scene.given("Paris."))
    assert not Completion.objects.filter(text="Paris.").exists()  # nothing of what was refused is kept
    have_ranked(scene, scene.given("Rome."), scene.given("Oslo.", policy=scene.sft))
    item = have_ranked(scene, scene.given("Paris."))
    texts = set(Completion.objects.filter(pk__in=item.completions).values_list("text", flat=True))
    assert texts == {"Paris.", "Rome.", "Oslo."}


def test_equal_answers_alone_make_no_set(scene: Scene) -> None:
    with pytest.raises(Refused, match="two different outputs"):
        have_ranked(scene, scene.given("Paris."), scene.given("Paris.", policy=scene.sft))


def test_the_same_answer_is_sent_once(scene: Scene) -> None:
    answers = opened(scene, scene.given("Paris."), scene.given("Rome."))
    queueing.have_ranked(scene.project, answers, by=scene.people.rosa, **ABOUT)
    with pytest.raises(Refused, match="in the queue already"):
        queueing.have_ranked(scene.project, answers, by=scene.people.rosa, **ABOUT)
    assert Item.objects.filter(kind=ItemKind.RANKING).count() == 1


def test_answers_that_say_who_wrote_them_are_held_back(scene: Scene) -> None:
    with pytest.raises(Refused, match="held back"):
        have_ranked(scene, scene.given("I am ChatGPT."), scene.given("Rome."))


def test_answers_to_different_prompts_are_not_sent_together(scene: Scene) -> None:
    with pytest.raises(Refused, match="different prompts"):
        have_ranked(scene, scene.given("Paris."), scene.given("Rome.", question="two dogs"))


def test_people_are_asked_for_an_answer_once_where_the_project_wants_any(scene: Scene) -> None:
    answers = opened(scene, scene.given())
    with pytest.raises(Refused, match="no demonstrations"):
        queueing.have_answered(scene.project, answers, by=scene.people.rosa, **ABOUT)
    Project.objects.update(demonstrations_per_prompt=1)
    prompt = queueing.have_answered(scene.project, answers, by=scene.people.rosa, **ABOUT)
    [item] = Item.objects.filter(kind=ItemKind.DEMONSTRATION)
    assert item.prompt == prompt
    assert not Completion.objects.exists()
    assert AuditEntry.objects.filter(action="playground_demonstration", details={"prompt": prompt.pk}).exists()
    with pytest.raises(Refused, match="already"):
        queueing.have_answered(scene.project, answers, by=scene.people.rosa, **ABOUT)


def test_an_answer_can_be_neither_forged_nor_taken_elsewhere(scene: Scene) -> None:
    rosa, token = scene.people.rosa, queueing.signed(
        scene.given(), project=scene.project, by=scene.people.rosa, few_shot=False
    )  # fmt: skip
    with pytest.raises(Refused, match="not one of ours"):
        queueing.opened(token[:-4] + "AAAA", project=scene.project, by=rosa)
    with pytest.raises(Refused, match="somebody else"):
        queueing.opened(token, project=scene.project, by=scene.people.ada)
    with pytest.raises(Refused, match="another project"):
        queueing.opened(token, project=scene.people.next_door, by=rosa)


def test_whoever_sends_is_told_whom_it_teaches(scene: Scene) -> None:
    said = {(split, pool): queueing.trains(Prompt(split=split, pool=pool)) for split in Split for pool in Pool}
    assert "next reward model" in said[Split.TRAIN, Pool.REWARD]
    assert "feeds PPO" in said[Split.TRAIN, Pool.POLICY]
    assert "held out" in said[Split.VALIDATION, Pool.REWARD]
