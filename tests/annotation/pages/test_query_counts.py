"""How many statements each page of an annotator asks the database for, and that more work does not make them more.

Two of each are the session and the person; BEGIN and COMMIT are not counted. Whoever changes a number says why, beside
it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import Assignment, AssignmentState, ItemKind, Ranking, Terms
from tests.annotation.pages.conftest import SignIn
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

pytestmark = pytest.mark.django_db

PAGES = {
    "/": 15,  # of one project: each more of them asks for its roles, what is in hand, and how far it is
    "/projects/": 5,
    "/projects/capitals/": 13,  # how far the project is: six of them
    "/projects/capitals/work/": 15,  # the same, with what is in hand and how one stands in screening
    "/projects/capitals/mine/": 20,  # by kind: what was done, what became of it, the time and the pay
    "/projects/capitals/mine/timesheet.csv": 6,
    "/projects/capitals/terms/": 5,
    "/projects/capitals/mine/leave/": 7,
    "/account/tokens/": 3,
    "ranking": 5,  # the piece, its outputs, whether it is the first
    "demonstration": 4,
    "instruction": 5,  # the guidelines in force, which a piece made before them does not name
    "finished": 5,
    "edit": 6,
}
STEPS = {
    "take": 7,  # the session is kept, with the kinds that were chosen
    "heartbeat": 5,
    "draft": 4,
    "next": 6,
    "submit": 8,  # it leads to the next piece, whose page is a request of its own; BEGIN and COMMIT come on top
    "skip": 8,
}


@pytest.fixture
def alice(world: World, sign_in: SignIn) -> Client:
    type(world.project).objects.update(instructions_wanted=50)
    return sign_in(world.alice)


def statements(client: Client, method: str, path: str, sent: Any = None) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        response = client.generic(method, path) if sent is None else client.post(path, sent)
    assert response.status_code in (200, 302), f"{method} {path}: {response.status_code}"
    return [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]


def pages(world: World) -> Iterator[tuple[str, str]]:
    """Each page by its name above and its address. Alice has a piece of each kind in hand and one that is done."""
    held = Assignment.objects.filter(annotator=world.alice, state=AssignmentState.LEASED)
    done = Ranking.objects.filter(annotator=world.alice).latest("pk").assignment
    assert done is not None
    for name in PAGES:
        if name.startswith("/"):
            yield name, name
        elif name in ItemKind.values:
            yield name, f"/assignments/{held.get(item__kind=name).pk}/"
        else:
            yield name, f"/assignments/{done.pk}/{name.replace('finished', '')}/".replace("//", "/")


def work_through(world: World, number: int) -> None:
    """So many pieces of each kind more are done by Alice, or wait."""
    for each in range(number):
        for _which in range(2):
            make_ranking_item(world.project, prompt=make_prompt(world.project, f"Question {each}"))
        rank(taken(world.project, world.alice, ItemKind.RANKING))


def in_hand(world: World) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    for each in range(2):
        make_prompt(world.project, f"What is {each} and one?")
    answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION))
    for kind in ItemKind:
        taken(world.project, world.alice, kind)


def test_each_page_asks_for_as_many_statements_as_is_written_here(world: World, alice: Client) -> None:
    Terms.objects.create(project=world.project, version=1, text="Be kind.")
    work_through(world, 2)
    in_hand(world)
    few = {name: statements(alice, "GET", path) for name, path in pages(world)}
    for each in range(6):
        rank(taken_beside(world, each))
    many = {name: statements(alice, "GET", path) for name, path in pages(world)}
    assert {name: len(sent) for name, sent in few.items()} == PAGES
    assert {name: len(sent) for name, sent in many.items()} == PAGES


def taken_beside(world: World, each: int) -> Assignment:
    """A ranking piece beside those in hand."""
    for _which in range(2):
        make_ranking_item(world.project, prompt=make_prompt(world.project, f"Another {each}"))
    from annotation.assignment import take

    held = Assignment.objects.get(annotator=world.alice, state=AssignmentState.LEASED, item__kind=ItemKind.RANKING)
    piece = take(world.project, world.alice, kinds=[ItemKind.RANKING], after=held)
    assert piece is not None
    return piece


def test_each_step_of_the_work_asks_for_as_many_statements_as_is_written_here(world: World, alice: Client) -> None:
    work_through(world, 3)
    found = {"take": statements(alice, "POST", "/projects/capitals/work/", {"kind": "ranking"})}
    piece = Assignment.objects.get(annotator=world.alice, state=AssignmentState.LEASED)
    ranks = {f"rank_{letter}": rank for rank, letter in enumerate("abcd", start=1)}
    sent = {
        "heartbeat": {},
        "draft": {"note": "not sure yet"},
        "next": {},
        "submit": ranks | {"client_key": str(uuid.uuid4()), "seconds": "12"},
    }
    for step, form in sent.items():
        found[step] = statements(alice, "POST", f"/assignments/{piece.pk}/{step}/", form)
    following = Assignment.objects.get(annotator=world.alice, state=AssignmentState.LEASED)
    found["skip"] = statements(alice, "POST", f"/assignments/{following.pk}/skip/", {"reason": "other"})
    assert {step: len(sent) for step, sent in found.items()} == STEPS
