"""Signing in as people do it, by the form: who gets in, who is held up, what is written down."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.cache.backends.redis import RedisCache
from django.http import HttpResponse
from django.test import Client, override_settings
from redis import Redis

import config.settings
from annotation import membership
from annotation.models import AuditEntry, Role, User
from tests.config.test_up import ROOT
from tests.team_services import ServiceMissing, redis_server
from tests.world import PASSWORD, World, make_world

IN_PRODUCTION = {
    "DATABASE_URL": "postgresql://plumbline@db/plumbline",
    "CELERY_BROKER_URL": "redis://broker/0",
    "ALLOWED_HOSTS": "plumbline.example.org",
    "BEHIND_PROXY": "True",
}


@pytest.fixture
def world(db: None) -> Iterator[World]:
    cache.clear()  # of what other tests' people have tried
    yield make_world()
    cache.clear()


def sign_in(client: Client, username: str, password: str = PASSWORD, **headers: str) -> HttpResponse:
    form = {"login": username, "password": password}
    return client.post("/account/login/", form, headers=headers)  # type: ignore[return-value]


def is_in(response: HttpResponse) -> bool:
    return response.status_code == 302 and response["Location"] == "/"


def log() -> list[tuple[str, int | None, object]]:
    return [(entry.action, entry.actor_id, entry.details) for entry in AuditEntry.objects.order_by("pk")]


def test_the_session_of_whoever_signs_in_is_a_new_one(world: World) -> None:
    client = Client()
    client.post(f"/join/{_invited(world)}/")  # a session before
    before = client.cookies["sessionid"].value
    assert is_in(sign_in(client, "alice"))
    assert client.cookies["sessionid"].value != before
    assert not Session.objects.filter(session_key=before).exists()


def test_a_session_that_was_signed_out_lets_nobody_in(world: World) -> None:
    client, copied = Client(), Client()
    sign_in(client, "alice")
    copied.cookies["sessionid"] = client.cookies["sessionid"].value
    assert copied.get("/").status_code == 200
    client.post("/account/logout/")
    assert copied.get("/").status_code == 302


def test_another_password_ends_all_other_sessions(world: World) -> None:
    client = Client()
    sign_in(client, "alice")
    world.alice.set_password("another battery staple")
    world.alice.save()
    assert client.get("/").status_code == 302


def test_after_five_wrong_passwords_not_even_the_right_one_helps_for_a_while(world: World) -> None:
    for number in range(5):
        assert not is_in(sign_in(Client(), "alice", f"guess {number}"))
    assert not is_in(sign_in(Client(), "alice"))
    assert not is_in(sign_in(Client(), "ALICE"))
    assert is_in(sign_in(Client(), "bob"))
    assert User.objects.get(username="alice").last_login is None


def test_one_address_tries_ten_names_a_minute(world: World) -> None:
    for number in range(10):
        sign_in(Client(), f"name{number}", "guess")
    assert not is_in(sign_in(Client(), "bob"))
    assert is_in(Client(REMOTE_ADDR="192.0.2.7").post("/account/login/", {"login": "bob", "password": PASSWORD}))


def test_behind_a_proxy_visitors_are_told_apart_by_what_the_proxy_says_last(world: World) -> None:
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=1):
        for number in range(10):
            sign_in(Client(), f"name{number}", "guess", **{"x-forwarded-for": f"10.0.0.{number}, 192.0.2.1"})
        assert not is_in(sign_in(Client(), "bob", **{"x-forwarded-for": "10.9.9.9, 192.0.2.1"}))
        assert is_in(sign_in(Client(), "bob", **{"x-forwarded-for": "192.0.2.2"}))


def test_signing_in_and_out_and_failing_to_is_written_down_without_what_was_typed(world: World) -> None:
    client = Client()
    sign_in(client, "alice", "my real password with a typo")
    sign_in(client, "no-such-name", "guess")
    sign_in(client, "alice")
    client.post("/account/logout/")
    alice = world.alice.pk
    assert log() == [
        ("sign_in_failed", None, {"person": alice}),
        ("sign_in_failed", None, {}),
        ("signed_in", alice, {}),
        ("signed_out", alice, {}),
    ]


def test_the_administration_has_no_door_of_its_own(world: World) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    form = {"username": "root", "password": PASSWORD, "next": "/admin/"}
    response = Client().post("/admin/login/", form)
    assert (response.status_code, response["Location"]) == (302, "/account/login/?next=%2Fadmin%2F")
    client = Client()
    assert client.post("/account/login/?next=/admin/", {"login": "root", "password": PASSWORD})["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_no_form_has_strangers_written_to_nor_fails_for_want_of_a_mail_server(world: World) -> None:
    with override_settings(EMAIL_BACKEND=config.settings.EMAIL_BACKEND):  # tests have another one
        stranger = Client(raise_request_exception=False)
        assert stranger.post("/account/password/reset/", {"email": "a@example.org"}).status_code == 302
        alice = Client(raise_request_exception=False)
        sign_in(alice, "alice")
        assert alice.post("/account/email/", {"action_add": "", "email": "a@example.org"}).status_code == 302


def test_passwords_are_hashed_by_argon2id(world: World) -> None:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"]):
        assert make_password(PASSWORD).startswith("argon2$argon2id$")
    assert in_production("print(settings.PASSWORD_HASHERS)") == "['django.contrib.auth.hashers.Argon2PasswordHasher']"


def in_production(code: str) -> str:
    """What a program prints under the settings of a shared installation."""
    done = _with_production_settings("-c", f"from django.conf import settings; {code}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _with_production_settings(*arguments: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as data:
        environment = os.environ | IN_PRODUCTION
        environment |= {"SECRET_KEY": secrets.token_urlsafe(50), "PLUMBLINE_DATA": data}
        environment |= {"DJANGO_SETTINGS_MODULE": "config.settings"}
        for name in ("PUBLIC_HTTPS", "DJANGO_ALLOW_ASYNC_UNSAFE"):  # the latter is set by tests in a browser
            environment.pop(name, None)
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )


def test_djangos_own_checks_of_a_deployment_find_nothing() -> None:
    done = _with_production_settings("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (0 silenced)."), done.stderr


def test_they_would_find_a_site_without_https() -> None:
    """Or the test above could not fail."""
    with tempfile.TemporaryDirectory() as data:
        environment = (
            os.environ | IN_PRODUCTION | {"SECRET_KEY": "short", "PLUMBLINE_DATA": data, "PUBLIC_HTTPS": "False"}
        )
        done = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode != 0
    assert "security.W008" in done.stderr


def test_servers_that_share_a_redis_share_the_limits_and_unpickle_nothing(tmp_path: Path) -> None:
    found = json.loads(in_production("import json; print(json.dumps(settings.CACHES['default']))"))
    assert found["OPTIONS"] == {"serializer": "config.cache.Json"}
    try:
        with redis_server(tmp_path) as url:
            one, other = (RedisCache(url, {"OPTIONS": dict(found["OPTIONS"]), "KEY_PREFIX": "p"}) for _ in range(2))
            one.set("failed", [1.5, 2.5])
            assert other.get("failed") == [1.5, 2.5]
            assert (one.add("lock", 1), other.add("lock", 1)) == (True, False)
            assert Redis.from_url(url).get("p:1:failed") == b"[1.5, 2.5]"
    except ServiceMissing as missing:
        pytest.skip(str(missing))


def _invited(world: World) -> str:
    return membership.invite(world.project, by=world.ada, name="Kim", roles=[Role.ANNOTATOR])[1]
