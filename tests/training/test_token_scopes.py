"""What a token must be for to train models."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client

from annotation.models import ApiToken, Scope
from tests.training.world import TEST, Lab
from training.models import Round

ROUNDS = "/api/v1/projects/capitals/rounds/"


def with_token(lab: Lab, *scopes: Scope) -> Client:
    _token, secret = ApiToken.issue(lab.rosa, name="script", lifetime=timedelta(days=1), scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def test_a_token_for_reading_sees_rounds_and_starts_none(lab: Lab) -> None:
    client = with_token(lab, Scope.READ, Scope.ADMIN)
    assert client.get(ROUNDS).status_code == 200
    refused = client.post(ROUNDS, TEST, content_type="application/json")
    assert refused.status_code == 403
    assert "This token is for read, admin; expected one for train" in refused.json()["detail"]
    assert not Round.objects.exists()


def test_a_token_for_training_starts_one(lab: Lab) -> None:
    assert with_token(lab, Scope.TRAIN).post(ROUNDS, TEST, content_type="application/json").status_code == 201
    assert Round.objects.get().created_by == lab.rosa
