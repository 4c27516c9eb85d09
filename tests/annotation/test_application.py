"""The application's own checks, its sweep, and its sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import checks
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from annotation.apps import leases_are_swept, postgres_is_new_enough, sign_up_is_by_invitation
from annotation.models import Assignment, User
from annotation.tasks import release_expired_leases
from tests.world import World, make_ranking_item, taken


def test_the_settings_pass_every_check(db: None) -> None:
    assert checks.run_checks(databases=["default"]) == []


def test_a_missing_sweep_is_pointed_out(settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULE = {}
    (warning,) = leases_are_swept(None)
    assert "CELERY_BEAT_SCHEDULE" in str(warning.hint)


def test_open_sign_up_is_pointed_out(settings: Any) -> None:
    settings.ACCOUNT_ADAPTER = "allauth.account.adapter.DefaultAccountAdapter"
    (warning,) = sign_up_is_by_invitation(None)
    assert "InvitedOnly" in str(warning.hint)


def test_an_old_database_is_pointed_out(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.apps.OLDEST_POSTGRES", 990_000)
    (error,) = postgres_is_new_enough(None, databases=["default"])
    assert "expected PostgreSQL" in error.msg


def test_strangers_can_not_sign_up(world: World) -> None:
    sent = {"username": "mallory", "password1": "correct horse battery", "password2": "correct horse battery"}
    Client().post(reverse("account_signup"), sent)
    assert not User.objects.filter(username="mallory").exists()


def test_the_task_releases_what_ran_out(world: World) -> None:
    make_ranking_item(world.project)
    taken(world.project, world.alice)
    Assignment.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert release_expired_leases() == 1


@pytest.mark.parametrize(
    "model", ["prompt", "ranking", "item", "assignment", "completion", "generator", "project", "user"]
)
def test_the_admin_lists_what_there_is(world: World, model: str) -> None:
    make_ranking_item(world.project)
    taken(world.project, world.alice)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(reverse(f"admin:annotation_{model}_changelist")).status_code == 200
