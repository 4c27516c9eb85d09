"""What a token must be for to train models."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client

from annotation.models import ApiToken, Scope
from tests.world import World
from training.models import Round

ROUNDS = "/api/v1/projects/capitals/rounds/"


def with_token(world: World, *scopes: Scope) -> Client:
    _token, secret = ApiToken.issue(world.rosa, name="script", lifetime=timedelta(days=1), scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def test_a_token_for_reading_sees_rounds_and_starts_none(world: World) -> None:
    client = with_token(world, Scope.READ, Scope.ADMIN)
    assert client.get(ROUNDS).status_code == 200
    assert client.post(ROUNDS, {}, content_type="application/json").status_code == 403
    assert not Round.objects.exists()


def test_a_token_for_training_is_let_through_and_refused_for_want_of_a_model(world: World) -> None:
    answer = with_token(world, Scope.TRAIN).post(ROUNDS, {}, content_type="application/json")
    assert answer.status_code == 409
    assert "model" in answer.json()["detail"]
