"""Who may open which page; that looking changes nothing; that nothing of ours is written into a page by a stranger."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import ItemKind, Membership
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_prompt, make_ranking_item, taken

PROJECT = "/projects/capitals/"
MEMBERS = {"alice", "bob", "rita", "rosa", "ada"}
MAY_OPEN = {
    PROJECT: MEMBERS,
    f"{PROJECT}work/": {"alice", "bob"},
    f"{PROJECT}mine/": {"alice", "bob"},
    f"{PROJECT}mine/timesheet.csv": {"alice", "bob"},
    f"{PROJECT}mine/leave/": {"alice", "bob"},
    f"{PROJECT}screening/": {"rosa", "ada"},
    f"{PROJECT}terms/": {"alice", "bob"},
    f"{PROJECT}appeals/": {"rita", "ada"},
    f"{PROJECT}export/": {"rosa", "ada"},
    f"{PROJECT}export/rankings.jsonl": {"rosa", "ada"},
    f"{PROJECT}quality/": {"rita", "ada"},
    f"{PROJECT}leaderboard/": {"rosa", "ada"},
    f"{PROJECT}charts/": {"rita", "rosa", "ada"},
    f"{PROJECT}leases/": {"ada"},
    f"{PROJECT}review/": {"rita", "ada"},
    f"{PROJECT}audit/": {"ada"},
    f"{PROJECT}import/": {"ada"},
    f"{PROJECT}held/": {"ada"},
    f"{PROJECT}members/": {"ada"},
    f"{PROJECT}members/alice/": {"ada"},
    f"{PROJECT}members/timesheets.csv": {"ada"},
    f"{PROJECT}invitations/": {"ada"},
    f"{PROJECT}settings/": {"ada"},
    f"{PROJECT}settings/guidelines/": {"ada"},
    f"{PROJECT}settings/terms/": {"ada"},
}
WRITES = re.compile(r"^\s*(insert|update|delete|with)\b", re.IGNORECASE)


@pytest.mark.parametrize("path", MAY_OPEN)
def test_a_page_opens_for_its_roles_and_hides_from_strangers(world: World, sign_in: SignIn, path: str) -> None:
    for name, person in world.everyone().items():
        expected = 200 if name in MAY_OPEN[path] else 404 if name == "charlie" else 403
        assert sign_in(person).get(path).status_code == expected, f"{name} at {path}"


@pytest.mark.parametrize("path", ["/", "/projects/", f"{PROJECT}copy/", "/account/tokens/", *MAY_OPEN])
def test_who_has_not_signed_in_is_asked_to(world: World, client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/")


def test_an_assignment_is_its_annotators_alone(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    path = f"/assignments/{taken(world.project, world.alice).pk}/"
    assert sign_in(world.alice).get(path).status_code == 200
    for person in (world.bob, world.ada, world.rosa, world.charlie):
        assert sign_in(person).get(path).status_code == 404
        for verb in ("submit", "edit", "skip", "skip/undo", "next", "draft", "preview", "heartbeat"):
            assert sign_in(person).post(f"{path}{verb}/").status_code == 404


def test_looking_changes_nothing(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=3)
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice, ItemKind.RANKING)
    looks = {
        world.alice: ["/", "/projects/", PROJECT, f"{PROJECT}work/", "/account/tokens/", f"/assignments/{piece.pk}/"],
        world.ada: [page for page, people in MAY_OPEN.items() if "ada" in people and page.endswith("/")],
    }
    for person, paths in looks.items():
        client = sign_in(person)
        for path in paths:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            assert [query["sql"] for query in queries if WRITES.match(query["sql"])] == []


@pytest.mark.parametrize("verb", ["submit", "skip", "draft", "heartbeat"])
def test_what_changes_something_takes_a_post(world: World, sign_in: SignIn, verb: str) -> None:
    make_ranking_item(world.project)
    path = f"/assignments/{taken(world.project, world.alice).pk}/{verb}/"
    assert sign_in(world.alice).get(path).status_code == 405


def test_a_post_without_our_token_is_refused(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.alice)
    assert client.post(f"{PROJECT}work/").status_code == 403


def test_what_people_and_models_write_is_never_markup(world: World, sign_in: SignIn) -> None:
    evil = '<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) "><b id=evil>'
    make_ranking_item(world.project, texts=(evil, "fine"), prompt=make_prompt(world.project, evil))
    page = sign_in(world.alice).get(f"/assignments/{taken(world.project, world.alice).pk}/").content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b id" not in page
    assert 'href="javascript' not in page


def test_the_policy_allows_nothing_inline_and_pages_need_nothing_inline(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    answer = sign_in(world.alice).get(f"/assignments/{taken(world.project, world.alice).pk}/")
    assert "unsafe" not in answer["Content-Security-Policy"]
    page = answer.content.decode()
    assert not re.search(r"""\sstyle=|\son\w+=""", page)
    for script in re.findall(r"<script[^>]*>", page):
        assert "src=" in script or "nonce=" in script


def test_the_last_admin_stays(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    mine = Membership.objects.get(user=world.ada)
    answer = client.post(f"{PROJECT}members/{mine.pk}/remove/", follow=True)
    assert "only admin left" in answer.content.decode()
    assert Membership.objects.filter(pk=mine.pk).exists()


def test_a_member_is_added_by_user_name_and_removed(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    client.post(f"{PROJECT}members/", {"username": "Charlie", "role": "annotator"})
    membership = Membership.objects.get(project=world.project, user=world.charlie)
    assert membership.role == "annotator"
    client.post(f"{PROJECT}members/{membership.pk}/remove/")
    assert not Membership.objects.filter(pk=membership.pk).exists()
    answer = client.post(f"{PROJECT}members/", {"username": "nobody", "role": "annotator"})
    assert "Nobody is called" in answer.content.decode()


def test_the_theme_switch_goes_back_to_our_own_pages_only(client: Client, db: None) -> None:
    answer = client.post("/preferences/theme/", {"theme": "dark", "next": "https://elsewhere.example/"})
    assert (answer["Location"], answer.cookies["theme"].value) == ("/", "dark")
    assert client.post("/preferences/theme/", {"theme": "system", "next": "/x/"})["Location"] == "/x/"
