"""What researchers do to measure people, and how people leave or are erased, by scripts."""

from __future__ import annotations

import uuid

import pytest

from annotation.models import Item, Project, Ranking, User, Withdrawal
from tests.annotation.test_api import MEMBERS, OUTSIDE, Api
from tests.annotation.test_api_of_projects import patch
from tests.world import World, make_ranking_item, rank, taken

PROJECT = "projects/capitals/"
SCREENING = f"{PROJECT}screening/"


@pytest.mark.parametrize("path", ["", "sets/", "candidates/", "standings/"])
def test_screening_is_for_researchers(world: World, path: str) -> None:
    for name, person in world.everyone().items():
        expected = 200 if name in ("rosa", "ada") else 403 if name in MEMBERS else OUTSIDE
        assert Api(person).get(SCREENING + path).status_code == expected, name


def test_from_the_choice_of_a_set_to_who_has_qualified(world: World) -> None:
    rosa, alice = Api(world.rosa), Api(world.alice)
    item = make_ranking_item(world.project)
    assert [each["id"] for each in rosa.get(f"{SCREENING}candidates/").json()["results"]] == [item.pk]
    assert rosa.post(f"{SCREENING}sets/", items=[item.pk], purpose="qualification").json() == {"chosen": 1}
    assert Api(world.ada).post(f"{SCREENING}sets/{item.pk}/answer/").status_code == 409
    piece = rosa.post(f"{SCREENING}sets/{item.pk}/answer/").json()
    order = [[each["id"]] for each in piece["completions"]]
    key = str(uuid.uuid4())
    assert rosa.post(f"assignments/{piece['id']}/submit/", client_key=key, groups=order).status_code == 200
    [found] = rosa.get(f"{SCREENING}sets/").json()["results"]
    assert (found["keyed_by"], found["answered"], found["outputs"]) == ("rosa", True, 4)
    assert patch(rosa, SCREENING, qualification_pieces=1, qualification_bar=60).json()["qualification_bar"] == 60
    assert patch(rosa, SCREENING, qualification_bar=101).status_code == 400
    before = {each["username"]: each for each in rosa.get(f"{SCREENING}standings/").json()}
    assert (before["alice"]["agreement"], before["alice"]["passed"]) == (None, False)
    world.project.refresh_from_db()
    rank(taken(world.project, world.alice), Ranking.objects.get().groups)
    after = {each["username"]: each for each in rosa.get(f"{SCREENING}standings/").json()}
    assert (after["alice"]["agreement"], after["alice"]["passed"]) == (1.0, True)
    assert patch(rosa, SCREENING, qualification_answers=2).json()["qualification_answers"] == 2
    [mine] = [each for each in rosa.get(f"{SCREENING}standings/").json() if each["username"] == "alice"]
    assert (mine["reviewed"], mine["reviewed_wanted"], mine["accepted"], mine["passed"]) == (0, 2, None, False)
    assert alice.get(f"{SCREENING}sets/").status_code == 403
    assert rosa.client.delete(f"/api/v1/{SCREENING}sets/{item.pk}/").status_code == 204
    assert Item.objects.get().open_slots == [1]


def test_a_project_next_door_is_out_of_reach(world: World) -> None:
    item = make_ranking_item(world.next_door)
    rosa = Api(world.rosa)
    assert rosa.post(f"{SCREENING}sets/", items=[item.pk], purpose="gold").json() == {"chosen": 0}
    assert rosa.post(f"{SCREENING}sets/{item.pk}/answer/").status_code == 404
    assert rosa.client.delete(f"/api/v1/{SCREENING}sets/{item.pk}/").status_code == 404
    assert Api(world.ada).post(f"{PROJECT}members/charlie/erase/").status_code == 404


def test_an_annotator_leaves_with_what_is_theirs(world: World) -> None:
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    assert Api(world.rosa).post(f"{PROJECT}leave/").status_code == 403
    gone = Api(world.alice).post(f"{PROJECT}leave/").json()
    assert gone == {"prompts": 0, "demonstrations": 0, "rankings": 1, "completions": 0}
    assert not Ranking.objects.exists()
    assert Api(world.alice).post(f"{PROJECT}leave/").status_code == OUTSIDE


def test_an_admin_erases_a_person_and_nobody_else_does(world: World) -> None:
    Project.objects.filter(pk=world.project.pk).update(overlap=2)
    world.project.refresh_from_db()
    make_ranking_item(world.project)
    for person in (world.alice, world.bob):
        rank(taken(world.project, person))
    for name in ("alice", "rita", "rosa"):
        assert Api(world.everyone()[name]).post(f"{PROJECT}members/alice/erase/").status_code == 403
    assert Api(world.ada).post(f"{PROJECT}members/ada/erase/").status_code == 409
    assert Api(world.ada).post(f"{PROJECT}members/alice/erase/").json()["rankings"] == 1
    assert not User.objects.filter(username="alice").exists()
    assert [each.annotator for each in Ranking.objects.all()] == [world.bob]
    assert Withdrawal.objects.get().erased
