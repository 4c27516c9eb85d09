"""The second factor as people use it: set up, asked for at each sign-in, required of roles, taken away again."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.db import connection
from django.test import Client

from annotation.models import ApiToken, AuditEntry, User
from annotation.second_factor import roles_are_known
from tests.config.test_signing_in import is_in, sign_in
from tests.world import PASSWORD, World, make_token, make_world

ACTIVATE, AUTHENTICATE = "/account/2fa/totp/activate/", "/account/2fa/authenticate/"

pytestmark = pytest.mark.django_db(transaction=True)  # what follows a change follows once it is committed


@pytest.fixture
def world() -> Iterator[World]:
    cache.clear()
    yield make_world()
    cache.clear()


def code_of(secret: str, *, steps: int = 0) -> str:
    """What an authenticator app shows (RFC 6238), `steps` half minutes from now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def set_up(client: Client) -> str:
    """The app's secret, once the second factor is on."""
    asked = client.get(ACTIVATE)["Location"]  # for the password, once more
    assert asked.startswith("/account/reauthenticate/")
    assert client.post(asked, {"password": PASSWORD})["Location"] == ACTIVATE
    page = client.get(ACTIVATE).content.decode()
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    assert secret is not None, page
    if (gone := time.time() % 30) > 20:
        time.sleep(30 - gone)  # the code before this one is too old once the half minute ends
    response = client.post(ACTIVATE, {"code": code_of(secret[1], steps=-1)})
    assert (response.status_code, response["Location"]) == (302, "/account/2fa/recovery-codes/")
    return secret[1]


@pytest.fixture
def alice(world: World) -> Client:
    client = Client()
    assert is_in(sign_in(client, "alice"))
    return client


def test_the_password_alone_lets_nobody_in_any_more(alice: Client) -> None:
    secret = set_up(alice)
    client = Client()
    asked = sign_in(client, "alice")
    assert asked["Location"] == AUTHENTICATE
    assert client.get("/projects/capitals/").status_code == 302
    assert client.get("/api/v1/projects/").status_code == 401
    wrong = client.post(AUTHENTICATE, {"code": "000000"})
    assert "Incorrect code" in wrong.content.decode()
    assert is_in(client.post(AUTHENTICATE, {"code": code_of(secret)}))
    assert client.get("/projects/capitals/").status_code == 200
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert [each for each in actions if each.startswith("sign")] == ["signed_in", "sign_in_failed", "signed_in"]


def test_a_code_counts_once(alice: Client) -> None:
    code = code_of(set_up(alice))
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client, "alice")
    assert is_in(first.post(AUTHENTICATE, {"code": code}))
    assert not is_in(second.post(AUTHENTICATE, {"code": code}))
    with connection.cursor() as cursor:  # for as long as the code would be taken, the tolerance included
        cursor.execute("select expires_at - now() from plumbline_config_cache where key like '%%totp.used%%'")
        assert timedelta(seconds=60) < cursor.fetchone()[0] <= timedelta(seconds=90)


def test_codes_can_not_be_guessed_for_long(alice: Client) -> None:
    secret = set_up(alice)
    client = Client()
    sign_in(client, "alice")
    for number in range(10):
        client.post(AUTHENTICATE, {"code": f"{number:06}"})
    assert not is_in(client.post(AUTHENTICATE, {"code": code_of(secret)}))


def test_a_recovery_code_lets_in_once(alice: Client) -> None:
    set_up(alice)
    page = html.unescape(alice.get("/account/2fa/recovery-codes/").content.decode())
    codes = re.findall(r"^(?:.*>)?(\d{8})", page, flags=re.MULTILINE)
    assert len(codes) == 10
    for expected in (True, False):
        client = Client()
        sign_in(client, "alice")
        assert is_in(client.post(AUTHENTICATE, {"code": codes[0]})) == expected


def test_setting_it_up_or_taking_it_away_ends_all_other_sessions_and_renews_this_one(alice: Client) -> None:
    other = Client()
    sign_in(other, "alice")
    before = alice.cookies["sessionid"].value
    set_up(alice)
    assert alice.cookies["sessionid"].value != before
    assert (alice.get("/").status_code, other.get("/").status_code) == (200, 302)
    third = Client()
    third.force_login(User.objects.get(username="alice"))
    assert alice.post("/account/2fa/totp/deactivate/").status_code == 302
    assert not Authenticator.objects.exists()
    assert (alice.get("/").status_code, third.get("/").status_code) == (200, 302)


def test_changing_the_password_renews_the_session_and_ends_the_others(alice: Client) -> None:
    other = Client()
    sign_in(other, "alice")
    before = alice.cookies["sessionid"].value
    new = "another battery staple"
    alice.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert alice.cookies["sessionid"].value != before
    assert (alice.get("/").status_code, other.get("/").status_code) == (200, 302)


def test_sessions_from_before_the_second_factor_came_to_plumbline_go_on(world: World) -> None:
    from django.contrib.auth.base_user import AbstractBaseUser

    as_django_has_it = AbstractBaseUser._get_session_auth_hash(world.alice)  # type: ignore[attr-defined]
    assert world.alice.get_session_auth_hash() == as_django_has_it


def test_what_the_database_holds_makes_no_codes(alice: Client) -> None:
    secret = set_up(alice)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    recovery = Authenticator.objects.get(type="recovery_codes").wrap()
    assert recovery.generate_codes()[0] not in stored


def test_it_survives_another_secret_key_while_the_old_one_is_known(alice: Client, settings: Any) -> None:
    secret = set_up(alice)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    client = Client()
    sign_in(client, "alice")
    assert is_in(client.post(AUTHENTICATE, {"code": code_of(secret)}))


class TestWhereRolesMustHaveOne:
    @pytest.fixture(autouse=True)
    def required(self, settings: Any) -> None:
        settings.REQUIRE_MFA = ["admin", "researcher"]

    @pytest.mark.parametrize("who", ["ada", "rosa"])
    def test_they_see_nothing_before_it_is_set_up(self, world: World, who: str) -> None:
        client = Client()
        sign_in(client, who)
        for path in ("/", "/projects/capitals/", "/projects/capitals/members/", "/api/docs/"):
            assert client.get(path).status_code in (302, 403), path
        assert client.get("/projects/capitals/")["Location"] == ACTIVATE
        refused = client.get("/api/v1/projects/")
        assert (refused.status_code, "second factor" in refused.json()["detail"]) == (403, True)
        assert client.post("/projects/capitals/archive/")["Location"] == ACTIVATE
        set_up(client)
        assert client.get("/projects/capitals/").status_code == 200

    def test_those_of_other_roles_need_none(self, world: World) -> None:
        client = Client()
        sign_in(client, "alice")
        assert client.get("/projects/capitals/").status_code == 200

    def test_whoever_lost_it_by_an_administrators_hand_sets_it_up_anew(self, world: World) -> None:
        client = Client()
        sign_in(client, "ada")
        set_up(client)
        Authenticator.objects.all().delete()
        assert client.get("/projects/capitals/")["Location"] == ACTIVATE

    def test_superusers_are_admins_everywhere(self, world: World) -> None:
        User.objects.create_superuser("root", password=PASSWORD)
        client = Client()
        sign_in(client, "root")
        assert client.get("/admin/")["Location"] == ACTIVATE

    def test_they_make_no_token_that_would_work_without_it(self, world: World) -> None:
        client = Client()
        sign_in(client, "ada")
        sent = {"name": "laptop", "days": 3, "scopes": ["read"]}
        assert client.post("/account/tokens/", sent)["Location"] == ACTIVATE
        assert client.post("/api/v1/tokens/", sent, content_type="application/json").status_code == 403
        assert not ApiToken.objects.exists()
        set_up(client)
        assert client.post("/account/tokens/", sent).status_code == 200
        assert ApiToken.objects.count() == 1

    def test_scripts_go_on_with_the_tokens_they_have(self, world: World) -> None:
        client = Client(headers={"Authorization": f"Bearer {make_token(world.ada)}"})
        assert client.get("/api/v1/projects/").status_code == 200


def test_a_role_that_is_none_is_found_at_the_start(settings: Any) -> None:
    settings.REQUIRE_MFA = ["admins"]
    [error] = roles_are_known(None)
    assert "REQUIRE_MFA names admins" in error.msg
    settings.REQUIRE_MFA = ["admin"]
    assert roles_are_known(None) == []
