"""What admins do on pages, scripts may do too."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from annotation.models import Invitation, Membership, Project
from tests.annotation.test_api import MEMBERS, OUTSIDE, Api
from tests.world import World

PROJECT = "projects/capitals/"


@pytest.fixture
def ada(world: World) -> Api:
    return Api(world.ada)


def patch(api: Api, path: str, **content: Any) -> Any:
    return api.client.patch(f"/api/v1/{path}", content, content_type="application/json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "archive/"), ("post", "reopen/"), ("get", "guidelines/versions/"), ("get", "terms/versions/"),
        ("get", "members/"), ("get", "members/alice/rates/"), ("get", "invitations/"), ("get", "timesheets.csv"),
    ],
)  # fmt: skip
def test_is_for_the_projects_admins(world: World, method: str, path: str) -> None:
    for name, person in world.everyone().items():
        expected = 200 if name == "ada" else 403 if name in MEMBERS else OUTSIDE
        assert getattr(Api(person), method)(PROJECT + path).status_code == expected, name


def test_projects_are_created_and_copied_by_those_who_may(world: World, ada: Api) -> None:
    assert ada.post("projects/", name="Rivers", slug="rivers").status_code == 403
    assert ada.post(f"{PROJECT}copy/", name="Again", slug="again").status_code == 403
    world.ada.user_permissions.add(Permission.objects.get(codename="add_project"))
    assert ada.post("projects/", name="Rivers", slug="rivers", k=6).json()["k"] == 6
    assert ada.post(f"{PROJECT}copy/", name="Again", slug="again", with_members=True).status_code == 201
    assert ada.post("projects/", name="Rivers", slug="rivers").status_code == 400
    assert {project["slug"] for project in ada.get("projects/").json()["results"]} == {"capitals", "rivers", "again"}


def test_settings_are_changed_one_by_one_and_checked(world: World, ada: Api) -> None:
    assert patch(ada, PROJECT, k=6).json()["k"] == 6
    assert patch(ada, PROJECT, k=60).status_code == 400
    assert patch(ada, PROJECT, flags=[{"key": "a"}]).status_code == 400
    assert patch(ada, PROJECT, wide_percent=20, wide_overlap=1).status_code == 409
    assert patch(Api(world.rosa), PROJECT, k=2).status_code == 403
    assert Project.objects.get(pk=world.project.pk).k == 6


def test_an_archived_project_is_listed_apart(world: World, ada: Api) -> None:
    assert ada.post(f"{PROJECT}archive/").json()["archived_at"]
    assert ada.get("projects/").json()["results"] == []
    assert [project["slug"] for project in ada.get("projects/?archived=true").json()["results"]] == ["capitals"]


def test_texts_are_published(world: World, ada: Api) -> None:
    assert ada.post(f"{PROJECT}guidelines/versions/", text="Be brief.").json()["version"] == 2
    assert ada.post(f"{PROJECT}guidelines/versions/", text="Be brief.").status_code == 409
    assert [each["version"] for each in ada.get(f"{PROJECT}guidelines/versions/").json()["results"]] == [2, 1]


def test_people_are_invited_and_join(world: World, ada: Api) -> None:
    made = ada.post(f"{PROJECT}invitations/", name="Charlie", roles=["reviewer"]).json()
    assert "link" not in ada.get(f"{PROJECT}invitations/").json()["results"][0]
    secret = made["link"].rstrip("/").rpartition("/")[2]
    assert Api(world.charlie).post("invitations/join/", secret=secret).json() == {"project": "capitals"}
    assert Api(world.charlie).get(f"{PROJECT}progress/").status_code == 200
    assert Api(world.alice).post("invitations/join/", secret=secret).status_code == 409
    other = ada.post(f"{PROJECT}invitations/", name="Nobody", roles=["reviewer"]).json()
    assert ada.client.delete(f"/api/v1/{PROJECT}invitations/{other['id']}/").status_code == 204
    assert not Invitation.objects.open().exists()


def test_members_are_added_limited_paid_and_removed(world: World, ada: Api) -> None:
    member = ada.post(f"{PROJECT}members/", username="charlie", role="annotator").json()
    where = f"/api/v1/{PROJECT}members/{member['id']}/"
    limits = {"languages": ["en"], "daily_cap": 5}
    assert ada.client.put(where, limits, content_type="application/json").json()["daily_cap"] == 5
    unknown = ada.client.put(where, limits | {"languages": ["fr"]}, content_type="application/json")
    assert unknown.status_code == 409
    rate = ada.post(f"{PROJECT}members/charlie/rates/", amount="18.50", per="hour").json()
    assert (rate["username"], rate["amount"]) == ("charlie", "18.5000")
    assert ada.client.delete(where).status_code == 204
    assert not Membership.objects.filter(project=world.project, user=world.charlie).exists()
    assert len(ada.get(f"{PROJECT}members/charlie/rates/").json()["results"]) == 1
