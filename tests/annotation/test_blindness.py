"""Nothing that somebody who ranks can see tells which generator wrote what."""

from __future__ import annotations

import json
import uuid
from collections import Counter

from django.db import connection
from django.test import Client

from annotation.adding import RankingSet, add_ranking_items
from annotation.assignment import skip
from annotation.models import Assignment, Completion, SkipReason
from tests.world import World, make_ranking_item, make_token, rank, taken

NAMES = ("policy-of-round-1", "policy-of-round-2")
ASSIGNMENTS = 240
CHI_SQUARE_999 = {3: 16.27, 23: 49.73}  # 99.9% quantiles, by degrees of freedom


def everything_an_annotator_gets(world: World) -> str:
    api = Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
    answers = [
        taken := api.post("/api/v1/projects/capitals/queue/take/", {}, content_type="application/json"),
        api.get(f"/api/v1/assignments/{taken.json()['id']}/"),
        api.get("/api/v1/projects/capitals/"),
        api.get("/api/v1/projects/capitals/progress/"),
        api.post(
            f"/api/v1/assignments/{taken.json()['id']}/submit/",
            {"client_key": str(uuid.uuid4()), "groups": [[each["id"]] for each in taken.json()["completions"]]},
            content_type="application/json",
        ),
    ]
    return json.dumps([[answer.content.decode(), dict(answer.headers)] for answer in answers])


def test_the_wire_has_no_generator_and_no_completion_id(world: World) -> None:
    with connection.cursor() as cursor:  # ids that nothing else in an answer can look like
        cursor.execute("select setval('annotation_completion_id_seq', 987650000)")
    for name in NAMES:
        make_ranking_item(world.project, texts=tuple(f"{word}." for word in "abcdefgh"), generator=name)
    Completion.objects.update(seed=987654321, sampling={"temperature": 0.123456})
    seen = everything_an_annotator_gets(world)
    assert "98765" not in seen
    for secret in (*NAMES, "policy", "generator", "sampling", "seed", "0.123456", "temperature", "shown"):
        assert secret not in seen, secret


def test_a_completion_has_a_letter_and_a_text_and_nothing_else(world: World) -> None:
    make_ranking_item(world.project)
    api = Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
    answer = api.post("/api/v1/projects/capitals/queue/take/", {}, content_type="application/json").json()
    assert answer.keys() == {
        "id", "kind", "state", "prompt", "completions", "guidelines", "flags", "languages", "harmful",
        "lease_expires_at", "draft",
    }  # fmt: skip
    assert answer["prompt"].keys() == {"messages"}
    assert {frozenset(completion) for completion in answer["completions"]} == {frozenset({"id", "text"})}


def test_every_order_is_shown_equally_often(world: World) -> None:
    """Chi-square over the 24 orders of four, and over the places of the first."""
    item = make_ranking_item(world.project)
    chosen = item.completions
    add_ranking_items(world.project, [RankingSet(item.asked, chosen)] * (ASSIGNMENTS - 1))
    orders: Counter[tuple[int, ...]] = Counter()
    places: Counter[int] = Counter()
    for _number in range(ASSIGNMENTS):
        assignment = taken(world.project, world.alice)
        order = tuple(chosen.index(shown) for shown in assignment.shown)
        orders[order] += 1
        places[order.index(0)] += 1
        skip(assignment, reason=SkipReason.OTHER)
    for counts, cells in ((orders, 24), (places, 4)):
        expected = ASSIGNMENTS / cells
        seen = [*counts.values(), *[0] * (cells - len(counts))]
        assert sum((count - expected) ** 2 for count in seen) / expected < CHI_SQUARE_999[cells - 1]


def test_the_order_shown_is_kept_with_the_ranking(world: World) -> None:
    make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    assert rank(assignment).shown == Assignment.objects.get().shown
