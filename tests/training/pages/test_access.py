from __future__ import annotations

import pytest
from django.test import Client

from tests.training.pages.scene import Scene
from training.models import Policy, Round, TrainingRun


def addresses(scene: Scene) -> list[str]:
    round = scene.published_round()
    run = TrainingRun.objects.filter(round=round).first()
    assert run is not None
    assert round.policy is not None
    assert round.reward_model is not None
    assert round.dataset is not None
    return [
        *(
            scene.address(name)
            for name in ("rounds", "rounds/1", "models", "datasets", "curves", "models/compare", "playground")
        ),
        f"/runs/{run.pk}/",
        f"/policies/{round.policy.pk}/",
        f"/reward-models/{round.reward_model.pk}/",
        f"/datasets/{round.dataset.pk}/",
        f"/datasets/{round.dataset.pk}/compare/",
    ]


@pytest.mark.parametrize(
    ("person", "status"), [("rosa", 200), ("ada", 200), ("alice", 403), ("rita", 403), ("charlie", 404)]
)
def test_only_researchers_and_admins_see_the_pages_and_strangers_learn_nothing(
    scene: Scene, person: str, status: int
) -> None:
    client = Client()
    client.force_login(scene.people.everyone()[person])
    seen = {address: client.get(address).status_code for address in addresses(scene)}
    assert seen == dict.fromkeys(seen, status)


def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(scene: Scene) -> None:
    for address in addresses(scene):
        response = Client().get(address)
        assert response.status_code == 302
        assert response["Location"].startswith("/account/login/")


VERBS = ["rounds/1/cancel", "rounds/1/retry", "rounds/1/publish", "rounds/1/decide"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("person", "status"), [("alice", 403), ("charlie", 404)])
def test_nobody_else_may_change_a_round(scene: Scene, verb: str, person: str, status: int) -> None:
    scene.round()
    client = Client()
    client.force_login(scene.people.everyone()[person])
    assert client.post(scene.address(verb)).status_code == status
    assert Round.objects.get().state == "running"


@pytest.mark.parametrize("verb", VERBS)
def test_looking_changes_nothing(scene: Scene, rosa: Client, verb: str) -> None:
    scene.round(stage="publish")
    assert rosa.get(scene.address(verb)).status_code == 405
    assert Round.objects.get().state == "running"


def test_a_form_of_another_site_changes_nothing(scene: Scene) -> None:
    scene.make_ready()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(scene.people.rosa)
    assert strict.post(scene.address("rounds")).status_code == 403
    assert strict.post(scene.address("models"), {"name": "x", "source": "a/b"}).status_code == 403
    assert not Round.objects.exists()
    assert Policy.objects.count() == 1
