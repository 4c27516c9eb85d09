"""The review queue for scripts: what the page can do, with the same rules."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from annotation.models import Demonstration, Item, Ranking, ReviewState, User
from tests.world import TEXTS, World, answer, make_prompt, make_ranking_item, make_token, rank, taken

QUEUE = "/api/v1/projects/capitals/review/"


class Api:
    def __init__(self, person: User) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {make_token(person)}"})

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"{QUEUE}{path}", query)

    def post(self, path: str, **content: Any) -> Any:
        return self.client.post(f"{QUEUE}{path}", content, content_type="application/json")


@pytest.fixture
def rita(world: World) -> Api:
    return Api(world.rita)


@pytest.fixture
def answers(world: World) -> list[Demonstration]:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    for place in ("France", "Peru", "Chad"):
        make_prompt(world.project, f"What is the capital of {place}?")
    return [answer(taken(world.project, person), f"By {person}") for person in (world.alice, world.alice, world.bob)]


def test_work_is_found_by_author_words_and_state(rita: Api, answers: list[Demonstration]) -> None:
    def found(**query: str) -> list[int]:
        return [row["id"] for row in rita.get("demonstration/", **query).json()["results"]]

    first, second, third = (each.pk for each in answers)
    assert found() == [third, second, first]
    assert found(author="alice") == [second, first]
    assert found(words="Peru") == [second]
    assert found(state="accepted") == []
    assert rita.get("demonstration/", author="charlie").status_code == 404
    assert rita.get("demonstration/", state="good").status_code == 400
    assert rita.get("poem/").status_code == 404


def test_a_ranking_is_shown_as_texts_and_says_nothing_of_who_wrote_them(rita: Api, world: World) -> None:
    make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    one, two, three, four = assignment.shown
    rank(assignment, [[two], [one, four], [three]], note="Hm.")
    response = rita.get("ranking/")
    texts = dict(zip(Item.objects.get().completions, TEXTS, strict=True))
    (row,) = response.json()["results"]
    best, tied, worst = row["groups"]
    assert (best, sorted(tied), worst) == ([texts[two]], sorted([texts[one], texts[four]]), [texts[three]])
    assert (row["author"], row["text"], row["review"]) == ("alice", None, "pending")
    assert b"sft-of-tuesday" not in response.content


def test_a_decision_is_made_with_its_reason_and_taken_back(rita: Api, answers: list[Demonstration]) -> None:
    pieces = [each.pk for each in answers[:2]]
    assert rita.post("demonstration/", pieces=pieces, state="rejected").status_code == 409
    decided = rita.post("demonstration/", pieces=pieces, state="rejected", reason="Too short.").json()
    assert decided["changed"] == 2
    assert {row["reason"] for row in rita.get("demonstration/", state="rejected").json()["results"]} == {"Too short."}
    again = rita.post("demonstration/", pieces=pieces, state="rejected", reason="Too short.").json()
    assert again == {"changed": 0, "batch": None}
    assert rita.post(f"{decided['batch']}/undo/").json() == {"changed": 2}
    assert set(Demonstration.objects.values_list("review", flat=True)) == {ReviewState.PENDING}


@pytest.mark.parametrize("name", ["alice", "rosa", "charlie"])
def test_reviewing_is_for_reviewers(world: World, answers: list[Demonstration], name: str) -> None:
    api, refused = Api(world.everyone()[name]), 404 if name == "charlie" else 403
    assert api.get("demonstration/").status_code == refused
    assert api.post("demonstration/", pieces=[answers[0].pk], state="accepted").status_code == refused


def test_a_page_of_the_queue_costs_the_same_however_many(
    rita: Api, world: World, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        make_ranking_item(world.project, texts=(f"one {number}", f"two {number}"))
        rank(taken(world.project, world.alice))
    rita.get("ranking/")  # the first request of a minute takes a block of those that she may make
    with django_assert_max_num_queries(9):
        assert rita.get("ranking/").json()["count"] == Ranking.objects.count() == 6
