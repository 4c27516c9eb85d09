"""What a token is for, and how often anybody may ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from annotation.limits import Limits, limits
from annotation.models import ApiToken, Scope
from config.addresses import addresses
from tests.world import PASSWORD, World, make_person, make_ranking_item

WORK = "/api/v1/projects/capitals/queue/take/"
SETTINGS = "/api/v1/projects/capitals/"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    limits.forget()
    yield
    limits.forget()


def with_token(person: Any, *scopes: Scope) -> Client:
    _token, secret = ApiToken.issue(person, name="script", lifetime=timedelta(days=1), scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def post(client: Client, path: str, **content: Any) -> Any:
    return client.post(path, content, content_type="application/json")


class TestATokenForReading:
    def test_looks_and_changes_nothing(self, world: World) -> None:
        client = with_token(world.ada, Scope.READ)
        assert client.get(SETTINGS).status_code == 200
        refused = client.patch(SETTINGS, {"name": "Mine"}, content_type="application/json")
        assert refused.status_code == 403
        assert "This token is for read; expected one for admin" in refused.json()["detail"]
        world.project.refresh_from_db()
        assert world.project.name == "Capitals"

    def test_takes_no_work(self, world: World) -> None:
        make_ranking_item(world.project)
        assert post(with_token(world.alice, Scope.READ), WORK).status_code == 403
        assert not world.alice.assignments.exists()


def test_a_token_for_work_takes_it_looks_at_it_and_runs_no_project(world: World) -> None:
    make_ranking_item(world.project)
    client = with_token(world.alice, Scope.ANNOTATE)
    piece = post(client, WORK).json()
    assert client.get(f"/api/v1/assignments/{piece['id']}/").status_code == 200
    assert client.get(SETTINGS).status_code == 403  # that is reading
    assert post(with_token(world.ada, Scope.ANNOTATE), "/api/v1/projects/capitals/archive/").status_code == 403


def test_a_token_never_lets_its_owner_do_more(world: World) -> None:
    client = with_token(world.alice, *Scope)
    assert client.patch(SETTINGS, {"name": "Mine"}, content_type="application/json").status_code == 403


def test_tokens_made_by_a_script_are_for_reading_unless_they_say_more(world: World) -> None:
    browser = Client()
    browser.login(username="alice", password=PASSWORD)
    assert post(browser, "/api/v1/tokens/", name="a", days=3).json()["scopes"] == ["read"]
    asked = {"name": "b", "days": 3, "scopes": ["train", "annotate"]}
    assert post(browser, "/api/v1/tokens/", **asked).json()["scopes"] == ["annotate", "train"]
    for scopes in ([], ["everything"]):
        assert post(browser, "/api/v1/tokens/", name="c", days=3, scopes=scopes).status_code == 400


def test_the_page_makes_a_token_for_what_is_ticked_and_tells_when_it_was_used(world: World) -> None:
    browser = Client()
    browser.login(username="alice", password=PASSWORD)
    assert browser.post("/account/tokens/", {"name": "laptop", "days": 3}).status_code == 422
    page = browser.post("/account/tokens/", {"name": "laptop", "days": 3, "scopes": ["read", "annotate"]})
    assert "read and export; take work and submit it" in page.content.decode()
    assert "never" in page.content.decode()
    Client(headers={"Authorization": f"Bearer {page.context['secret']}"}).get(SETTINGS)
    token = ApiToken.objects.get()
    assert token.last_used_at is not None
    assert timezone.now() - token.last_used_at < timedelta(minutes=1)
    assert "never" not in browser.get("/account/tokens/").content.decode()


def test_every_endpoint_that_changes_something_needs_a_scope_that_is_not_reading() -> None:
    writing = [each.route for each in addresses() if each.is_ours and set(each.audiences) - {"GET"}]
    scopes = {route: scope_of(route) for route in writing if route.startswith("api/")}
    assert len(scopes) > 40
    assert [route for route, scope in scopes.items() if scope not in (Scope.ANNOTATE, Scope.ADMIN, Scope.TRAIN)] == []


def scope_of(route: str) -> Any:
    path = re.sub(r"<uuid:\w+>", "0" * 8 + "-0000-4000-8000-" + "0" * 12, "/" + route)
    return resolve(re.sub(r"<(?:\w+:)?\w+>", "1", path)).func.cls.scope


class TestRequests:
    def test_beyond_the_limit_wait_and_are_told_how_long(self, world: World, settings: Any) -> None:
        settings.API_REQUESTS_PER_MINUTE = 3
        client = with_token(world.alice, Scope.READ)
        assert [client.get(SETTINGS).status_code for _ in range(3)] == [200] * 3
        refused = client.get(SETTINGS)
        assert refused.status_code == 429
        assert 0 < int(refused["Retry-After"]) <= 60

    def test_of_one_token_are_not_counted_against_another_nor_its_owner(self, world: World, settings: Any) -> None:
        settings.API_REQUESTS_PER_MINUTE = 1
        client, other, browser = with_token(world.alice, Scope.READ), with_token(world.alice, Scope.READ), Client()
        browser.login(username="alice", password=PASSWORD)
        assert client.get(SETTINGS).status_code == 200
        assert client.get(SETTINGS).status_code == 429
        assert (other.get(SETTINGS).status_code, browser.get(SETTINGS).status_code) == (200, 200)
        assert browser.get(SETTINGS).status_code == 429
        assert browser.get("/projects/capitals/").status_code == 200  # pages are no API

    def test_of_strangers_are_refused_and_then_told_to_wait(self, world: World, settings: Any) -> None:
        settings.API_STRANGERS_PER_MINUTE = 2
        guess = Client(headers={"Authorization": "Bearer plumb_guess"})
        assert [client.get(SETTINGS).status_code for client in (guess, Client(), guess)] == [401, 401, 429]
        assert "Retry-After" in guess.get(SETTINGS)
        assert guess.get(SETTINGS, REMOTE_ADDR="192.0.2.7").status_code == 401
        assert with_token(world.alice, Scope.READ).get(SETTINGS).status_code == 200

    def test_are_not_limited_where_the_limit_is_none(self, world: World, settings: Any) -> None:
        settings.API_REQUESTS_PER_MINUTE = 0
        client = with_token(world.alice, Scope.READ)
        assert {client.get(SETTINGS).status_code for _ in range(5)} == {200}


def test_processes_count_together(db: None) -> None:
    """Each with blocks of its own: never more than the limit, and none of them wasted on one that waits."""
    processes = [Limits(), Limits(), Limits()]
    let_through = sum(not processes[number % 3].wait("token-1", most=200) for number in range(600))
    assert let_through == 200


def test_few_requests_ask_the_others(db: None, django_assert_max_num_queries: Any) -> None:
    process = Limits()
    with django_assert_max_num_queries(2 + 5):  # the first makes the count, within a transaction of its own here
        assert not any(process.wait("token-2", most=6_000) for _ in range(200))


def test_a_new_person_is_not_limited_by_another(db: None) -> None:
    make_person("zoe")
    process = Limits()
    assert process.wait("person-1", most=1) == 0
    assert process.wait("person-1", most=1) > 0
    assert process.wait("person-2", most=1) == 0
