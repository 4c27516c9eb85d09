"""The playground's page and what its script asks for, where no model has to answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse

from annotation import limits
from annotation.models import Item, ItemKind
from tests.training.playground.scene import Scene, lines
from tests.world import taken
from training import registry
from training.playground import places, queueing
from training.views import playground

JSON = {"Accept": "application/json"}


def token(scene: Scene, text: str, **of: Any) -> str:
    return queueing.signed(scene.given(text, **of), project=scene.project, by=scene.people.rosa, few_shot=False)


def said(response: HttpResponse) -> str:
    return " ".join(map(str, get_messages(response.wsgi_request)))  # type: ignore[attr-defined]


def test_the_page_begins_with_the_policy_that_its_link_names(scene: Scene) -> None:
    content = scene.client().get(scene.address(), {"first": scene.sft.pk}).content.decode()
    assert f'<option value="{scene.sft.pk}" selected>sft</option>' in content
    assert f'<option value="{scene.judge.pk}" selected>judge</option>' in content


@pytest.mark.parametrize("name", ["first", "second", "judge"])
def test_models_of_other_projects_are_not_there(scene: Scene, name: str) -> None:
    theirs = registry.register_policy(scene.people.next_door, name="theirs", source="x/y")
    number = {"first": theirs.pk, "second": theirs.pk, "judge": scene.judge.pk + 1}[name]
    client = scene.client()
    assert client.get(scene.address(), {name: number}).status_code == 404
    for address in (scene.address(), scene.address("answer/")):
        assert client.post(address, scene.form(side="first") | {name: number}).status_code == 404


def test_what_is_missing_is_said(scene: Scene) -> None:
    response = scene.client().post(scene.address("answer/"), scene.form(question=" ", side="first"))
    assert response.status_code == 422
    assert "required" in response.json()["problem"]
    response = scene.client().post(scene.address(), scene.form(asked_1="red?"))
    assert response.status_code == 422
    assert "An example needs both" in response.content.decode()


def test_who_asks_too_often_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(playground, "MOST_A_MINUTE", 1)
    monkeypatch.setattr(limits, "MINUTE", 1_000_000_000)
    settings.PLAYGROUND_MODELS = 0
    client, form = scene.client(), scene.form(side="first")
    assert client.post(scene.address("answer/"), form).status_code == 200
    response = client.post(scene.address("answer/"), form)
    assert response.status_code == 429
    assert "within a minute" in response.json()["problem"]
    assert scene.client("ada").post(scene.address("answer/"), form).status_code == 200
    [side, _none] = client.post(scene.address(), scene.form()).context["sides"]
    assert "within a minute" in side.problem


def test_no_more_answers_are_given_at_once_than_there_may_be(scene: Scene, settings: Any) -> None:
    settings.PLAYGROUND_STREAMS, settings.PLAYGROUND_MODELS = 1, 0
    with places.one_of(1):
        [line] = lines(scene.client().post(scene.address("answer/"), scene.form(side="first")))
        assert "at once (1)" in line["problem"]
        [side, _none] = scene.client().post(scene.address(), scene.form()).context["sides"]
        assert "at once (1)" in side.problem
    [line] = lines(scene.client().post(scene.address("answer/"), scene.form(side="first")))
    assert "switched off" in line["problem"]


def test_it_can_be_switched_off(scene: Scene, settings: Any) -> None:
    settings.PLAYGROUND_MODELS = 0
    assert "Switched off" in scene.client().get(scene.address()).content.decode()


def test_a_conversation_goes_on_with_an_answer(scene: Scene) -> None:
    client = scene.client()
    page = client.post(scene.address(), scene.form(go_on=token(scene, "Paris.")))
    turns = page.context["turns"]
    assert [(turn["role"], turn["content"]) for turn in turns] == [("user", "one dog"), ("assistant", "Paris.")]
    again = client.post(scene.address(), scene.form(history=page.context["form"]["history"].value(), temperature=9))
    assert again.context["turns"] == turns  # the form was refused, and nothing of the talk is lost
    for broken in (
        "no JSON",
        "7",
        "[" * 100_000,
        '[{"role": "user"}]',
        '[{"role": "assistant", "content": "I begin"}]',
    ):
        assert client.post(scene.address(), scene.form(history=broken, temperature=9)).context["turns"] == []


def test_answers_are_sent_by_a_plain_form_or_by_the_pages_script(scene: Scene) -> None:
    form = {"use_case": "open_qa", "language": "en", "how": "ranking"}
    two = {"answer": [token(scene, "Paris."), token(scene, "Rome.", policy=scene.sft)]}
    response = scene.client().post(scene.address("queue/"), form | two)
    assert response.status_code == 302
    assert "2 outputs are in the ranking queue, blind" in said(response)
    response = scene.client().post(scene.address("queue/"), form | two, headers=JSON)
    assert response.status_code == 422
    assert response.json() == {"said": "This answer is in the queue already.", "done": False}
    response = scene.client().post(scene.address("queue/"), form | {"answer": [], "how": "demonstration"}, headers=JSON)
    assert response.json()["done"] is False
    assert Item.objects.filter(kind=ItemKind.RANKING).count() == 1


def test_annotators_see_no_model_in_the_set_that_was_sent(scene: Scene) -> None:
    form = {"use_case": "open_qa", "language": "en", "how": "ranking"}
    two = {"answer": [token(scene, "Paris."), token(scene, "Rome.", policy=scene.sft)]}
    scene.client().post(scene.address("queue/"), form | two)
    piece = taken(scene.project, scene.people.alice, ItemKind.RANKING)
    content = scene.client("alice").get(f"/assignments/{piece.pk}/").content.decode()
    assert "Paris." in content
    for name in ("ppo", "sft", "playground"):
        assert name not in content
