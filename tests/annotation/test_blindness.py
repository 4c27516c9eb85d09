"""Nothing that somebody who ranks can see tells which generator wrote what."""

from __future__ import annotations

import html
import itertools
import json
import re
import uuid
from collections import Counter

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.adding import RankingSet, add_ranking_items
from annotation.models import Assignment, Completion, Item
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.world import World, make_generator, make_prompt, make_ranking_item, make_token, rank, taken

__all__ = ["sign_in"]

NAMES = ("policy-of-round-1", "policy-of-round-2")
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


CHANGES = re.compile(
    r'nonce-[\w+/=-]+|nonce="[^"]*"|(?<=")[\w-]{64}(?=")|(?<=value=")[\da-f-]{36}(?=")|(?<=X-Request-ID: )\w{16}'
)


def all_that_is_served(client: Client, api: Client, piece: Assignment) -> list[str]:
    """The page with its headers and the names of all that it loads, and the JSON; without what is new each time."""
    answers = [client.get(f"/assignments/{piece.pk}/"), api.get(f"/api/v1/assignments/{piece.pk}/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    headers = [f"{name}: {value}" for answer in answers for name, value in answer.headers.items()]
    return [CHANGES.sub("", part) for part in (*headers, *(answer.content.decode() for answer in answers))]


def test_what_is_served_is_the_same_whoever_wrote_which_output(world: World, sign_in: SignIn) -> None:
    """For every way in which two models may have written four outputs."""
    with connection.cursor() as cursor:
        cursor.execute("select setval('annotation_completion_id_seq', 987650000)")
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    models = [make_generator(world.project, name) for name in NAMES]
    client, api = sign_in(world.alice), Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
    client.get(f"/assignments/{piece.pk}/")
    seen = []
    for wrote in itertools.product(models, repeat=4):
        for completion, model in zip(piece.shown, wrote, strict=True):
            Completion.objects.filter(pk=completion).update(generator=model, sampling={"of": model.name})
        seen.append(all_that_is_served(client, api, piece))
    different = [pair for each in seen for pair in zip(each, seen[0], strict=True) if pair[0] != pair[1]]
    assert different == []
    assert "98765" not in "".join(seen[0])


def test_what_is_served_is_the_same_whether_or_not_a_set_is_sealed(world: World, sign_in: SignIn) -> None:
    """A sealed set is one of a gate: whoever ranks must not learn that more depends on it than on any other."""
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    client, api = sign_in(world.alice), Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
    client.get(f"/assignments/{piece.pk}/")
    plain = all_that_is_served(client, api, piece)
    with CaptureQueriesContext(connection) as asked_of_plain:
        all_that_is_served(client, api, piece)
    Item.objects.update(sealed=True)
    with CaptureQueriesContext(connection) as asked_of_sealed:
        sealed = all_that_is_served(client, api, piece)
    assert sealed == plain
    assert len(asked_of_sealed) == len(asked_of_plain)


def test_sealed_sets_are_given_out_in_the_order_of_all_others(world: World) -> None:
    made = [make_ranking_item(world.project, prompt=make_prompt(world.project, f"{n}?")) for n in range(6)]
    Item.objects.filter(pk__in=[item.pk for item in made[::2]]).update(sealed=True)
    given = []
    for _number in range(6):
        piece = taken(world.project, world.alice)
        given.append(piece.item_id)
        rank(piece)
    assert given == [item.pk for item in made]


def test_letters_and_elements_follow_the_order_shown_and_nothing_else(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    page = sign_in(world.alice).get(f"/assignments/{piece.pk}/").content.decode()
    texts = dict(Completion.objects.filter(pk__in=piece.shown).values_list("pk", "text"))
    parts = re.split(r'id="output-([a-d])"', page)[1:]
    assert parts[::2] == list("abcd")
    for letter, part, shown in zip(parts[::2], parts[1::2], piece.shown, strict=True):
        assert html.escape(texts[shown]) in part
        assert set(re.findall(r'name="(?:rank|rating|flag)_([a-i])', part)) == {letter}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("assignments", [240, pytest.param(2_000, marks=pytest.mark.long)])
def test_every_order_is_shown_equally_often(world: World, assignments: int) -> None:
    """Chi-square over the 24 orders of four, and over the places of the first."""
    item = make_ranking_item(world.project)
    chosen = item.completions
    add_ranking_items(world.project, [RankingSet(item.asked, chosen)] * (assignments - 1))
    orders: Counter[tuple[int, ...]] = Counter()
    places: Counter[int] = Counter()
    for _number in range(assignments):
        piece = taken(world.project, world.alice)
        order = tuple(chosen.index(shown) for shown in piece.shown)
        orders[order] += 1
        places[order.index(0)] += 1
        rank(piece)
    for counts, cells in ((orders, 24), (places, 4)):
        expected = assignments / cells
        seen = [*counts.values(), *[0] * (cells - len(counts))]
        assert sum((count - expected) ** 2 for count in seen) / expected < CHI_SQUARE_999[cells - 1]


def test_the_order_shown_is_kept_with_the_ranking(world: World) -> None:
    make_ranking_item(world.project)
    assignment = taken(world.project, world.alice)
    assert rank(assignment).shown == Assignment.objects.get().shown
