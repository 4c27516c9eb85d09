"""A team at work over HTTP while the network fails them: nothing is lost, nothing is there twice.

Everybody has connections of their own to a real server. Requests are cut off before their answer comes and sent again,
buttons are pressed twice, pieces are skipped, leases run out under people's hands.
"""

from __future__ import annotations

import json
import random
import socket
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from annotation.models import Assignment, AssignmentState, Item, Ranking, Role
from tests.processes import web
from tests.world import make_person, make_project, make_ranking_item, make_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

PEOPLE = 64
PIECES = 6  # that each asks for
Json = dict[str, Any]


@dataclass
class Annotator:
    """Somebody with a shaky hand and a shaky line. `said` holds what the server confirmed: ranking by assignment."""

    address: str
    token: str
    dice: random.Random
    said: dict[int, list[list[str]]] = field(default_factory=dict)
    refused: list[tuple[int, str]] = field(default_factory=list)
    failures: int = 0

    def day(self, together: Barrier) -> None:
        together.wait()
        for _number in range(PIECES):
            self.maybe_cut_off("projects/rush/queue/take/", {})
            answer = self.send("projects/rush/queue/take/", {}).raise_for_status()
            if not answer.content:
                return
            self.work_on(answer.json())

    def work_on(self, piece: Json) -> None:
        path, fate = f"assignments/{piece['id']}/", self.dice.random()
        if fate < 0.1:
            self.send(f"{path}skip/", {"reason": "other"}).raise_for_status()
            return
        if fate < 0.25:
            self.lose_the_lease(piece["id"])
        keys = [output["id"] for output in piece["completions"]]
        self.dice.shuffle(keys)
        groups = [keys[:2], *([key] for key in keys[2:])] if self.dice.random() < 0.3 else [[key] for key in keys]
        sent = {"client_key": str(uuid.uuid4()), "groups": groups}
        self.maybe_cut_off(f"{path}submit/", sent)
        clicks = 2 if self.dice.random() < 0.3 else 1
        with ThreadPoolExecutor(clicks) as fingers:
            for answer in fingers.map(lambda _click: self.send(f"{path}submit/", sent), range(clicks)):
                if answer.status_code == httpx.codes.OK:
                    self.said[piece["id"]] = groups
                else:
                    self.refused.append((answer.status_code, answer.text))

    def lose_the_lease(self, assignment: int) -> None:
        past = timezone.now() - timedelta(seconds=1)
        Assignment.objects.filter(pk=assignment, state=AssignmentState.LEASED).update(lease_expires_at=past)
        connection.close()

    def maybe_cut_off(self, path: str, content: Json) -> None:
        """Send a request whole and hang up: whether the server did it, nobody is told."""
        if self.dice.random() > 0.2:
            return
        body = json.dumps(content).encode()
        lines = [f"POST /api/v1/{path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in self.headers.items())]
        address = urlsplit(self.address)
        with socket.create_connection((address.hostname, address.port), timeout=60) as line:
            line.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def send(self, path: str, content: Json) -> httpx.Response:
        """Until an answer comes: a crowded server refuses connections, and whether it did the work nobody is told."""
        while True:
            try:
                return httpx.post(f"{self.address}/api/v1/{path}", json=content, headers=self.headers, timeout=60)
            except httpx.TransportError:
                self.failures += 1

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture
def team(transactional_db: None) -> Iterator[list[Annotator]]:
    project = make_project(name="Rush", slug="rush", demonstrations_per_prompt=0)
    for number in range(PEOPLE * PIECES // 2):
        make_ranking_item(project, texts=tuple(f"{number} {word}" for word in ("one", "two", "three", "four")),
                          overlap=1 + number % 3)  # fmt: skip
    people = [make_person(f"person-{number}", project, Role.ANNOTATOR) for number in range(PEOPLE)]
    with web() as address:
        yield [Annotator(address, make_token(person), random.Random(person.pk)) for person in people]


def test_sixty_four_people_with_cut_lines_and_double_clicks_lose_nothing_and_make_nothing_twice(
    team: list[Annotator],
) -> None:
    together = Barrier(PEOPLE)
    with ThreadPoolExecutor(PEOPLE) as desks:
        list(desks.map(lambda person: person.day(together), team))
    confirmed = {assignment: groups for person in team for assignment, groups in person.said.items()}
    assert len(confirmed) > PEOPLE * PIECES / 2
    kept = {ranking.assignment_id: ranking for ranking in Ranking.objects.select_related("assignment")}
    assert confirmed.keys() <= kept.keys(), "a ranking that the server confirmed is gone"
    for assignment, groups in confirmed.items():
        letters = dict(zip(kept[assignment].shown, "abcdefghi", strict=False))
        assert [{letters[each] for each in group} for group in kept[assignment].groups] == [
            set(each) for each in groups
        ]
    for item in Item.objects.all():
        live = list(item.assignments.live().values_list("slot", flat=True))
        assert sorted([*item.open_slots, *live]) == list(range(1, item.overlap + 1)), item
        assert len(live) <= item.overlap
    assert max(Counter(Assignment.objects.values_list("item", "annotator")).values()) == 1
    assert not Ranking.objects.exclude(annotator=F("assignment__annotator")).exists()
    assert {status for person in team for status, _text in person.refused} <= {httpx.codes.CONFLICT}
