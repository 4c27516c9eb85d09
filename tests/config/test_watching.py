"""What those see who watch the installation: whether it is up, its figures, and its logs, which hold no secret."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings

from annotation.logs import JsonLines, Line, about
from annotation.models import Invitation, Role, User
from tests.world import PASSWORD, World, make_ranking_item, make_token, make_world, taken

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def world(db: None) -> World:
    return make_world()


class Kept(logging.Handler):
    """Lines as a formatter of ours writes them."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(params=[Line("{levelname} {name}: {message}", style="{"), JsonLines()], ids=["lines", "JSON"])
def logged(request: pytest.FixtureRequest) -> Iterator[Kept]:
    handler, root = Kept(request.param), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


def json_lines(handler: Kept) -> list[dict[str, Any]]:
    return [json.loads(line) for line in handler.lines]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept(JsonLines())
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


class TestHealth:
    def test_is_told_to_anyone_without_asking_the_database(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert Client().get("/health/").json() == {"ok": True}

    def test_readiness_asks_the_database(self) -> None:
        response = Client().get("/ready/")
        assert (response.status_code, response.json()) == (200, {"ok": True, "database": True, "migrations": True})

    def test_an_installation_that_is_not_migrated_is_not_ready(self) -> None:
        MigrationRecorder.Migration.objects.filter(app="annotation").latest("pk").delete()
        response = Client().get("/ready/")
        assert (response.status_code, response.json()) == (503, {"ok": False, "database": True, "migrations": False})

    @pytest.mark.django_db(databases=[])
    def test_one_without_its_database_is_alive_and_not_ready(self) -> None:
        ask = (
            "import django; django.setup(); from django.test import Client\n"
            "for path in ('/health/', '/ready/'):\n"
            "    print(Client(headers={'host': 'localhost'}).get(path).status_code)\n"
        )
        nowhere = {
            "DATABASE_URL": "postgresql://plumbline:hush-hush@127.0.0.1:9/nothing",
            "SECRET_KEY": "for this test",
        }
        done = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, cwd=settings.BASE_DIR,
            env=os.environ | nowhere | {"PUBLIC_HTTPS": "True"},
        )  # fmt: skip
        assert done.stdout.split() == ["200", "503"], done.stderr
        assert "hush-hush" not in done.stderr
        assert "The database does not answer." in done.stderr


class TestMetrics:
    def test_are_a_superusers_alone(self, world: World) -> None:
        assert Client().get("/metrics/").status_code == 401
        client = Client()
        client.force_login(world.ada)
        assert client.get("/metrics/").status_code == 403

    def test_count_requests_by_route_and_say_what_people_have_in_hand(self, world: World) -> None:
        make_ranking_item(world.project)
        piece = taken(world.project, world.alice)
        client = Client()
        client.force_login(world.alice)
        before = figures(root_token())
        for _time in range(3):
            client.get(f"/assignments/{piece.pk}/")
        after = figures(root_token())
        route = 'plumbline_requests_total{method="GET",route="assignments/<int:pk>/",status="200"}'
        assert after[route] - before.get(route, 0) == 3
        slowest = 'plumbline_request_seconds_bucket{le="+Inf",method="GET",route="assignments/<int:pk>/"}'
        assert after[slowest] - before.get(slowest, 0) == 3
        assert after["plumbline_leases"] == 1
        assert after['plumbline_runs{state="queued"}'] == 0
        assert after["plumbline_data_free_bytes"] > 0

    def test_say_nothing_of_whom_an_address_names(self, world: World) -> None:
        client = Client()
        client.force_login(world.ada)
        client.get("/projects/capitals/members/alice/")
        client.get("/nowhere/to-be-found/")
        told = "\n".join(figures(root_token()))
        assert "members/<str:username>/" in told
        assert "alice" not in told
        assert "to-be-found" not in told

    def test_of_several_processes_are_added_up(self, tmp_path: Path) -> None:
        count = "from config.metrics import REQUESTS; REQUESTS.labels('GET', 'x', 200).inc(4)"
        tell = (
            "from config.metrics import MultiProcessCollector, CollectorRegistry, generate_latest\n"
            "registry = CollectorRegistry(); MultiProcessCollector(registry); print(generate_latest(registry).decode())"
        )
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
        for code in (count, count, tell):
            done = subprocess.run(
                [sys.executable, "-c", f"import django; django.setup(); {code}" if code is count else
                 f"import django; django.setup()\n{tell}"],
                capture_output=True, text=True, cwd=settings.BASE_DIR, env=environment,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        assert 'plumbline_requests_total{method="GET",route="x",status="200"} 8.0' in done.stdout


class TestLogs:
    def test_name_the_request_and_the_answer_names_it_too(self, world: World, kept: Kept) -> None:
        response = Client().get("/nowhere/")
        [line] = [line for line in json_lines(kept) if line["logger"] == "django.request"]
        assert line["request"] == response["X-Request-ID"]
        assert line["level"] == "WARNING"

    @override_settings(BEHIND_PROXY=True)
    def test_take_the_proxys_name_where_there_is_a_proxy(self) -> None:
        assert Client(headers={"x-request-id": "abc-1"}).get("/health/")["X-Request-ID"] == "abc-1"
        assert Client(headers={"x-request-id": "a b\nc"}).get("/health/")["X-Request-ID"] != "a b\nc"

    def test_believe_no_name_that_a_stranger_sends(self) -> None:
        assert Client(headers={"x-request-id": "abc-1"}).get("/health/")["X-Request-ID"] != "abc-1"

    @override_settings(LOG_REQUESTS=True)
    def test_have_a_line_for_each_request_where_that_is_asked_for(self, world: World, kept: Kept) -> None:
        client = Client()
        client.force_login(world.alice)
        client.get("/projects/capitals/work/")
        [line] = [line for line in json_lines(kept) if line["logger"] == "config.requests"]
        assert (line["route"], line["status"], line["person"]) == ("projects/<slug:slug>/work/", 200, world.alice.pk)
        assert line["ms"] > 0

    def test_name_the_run_that_they_are_about(self, kept: Kept) -> None:
        with about(run=7), about(round=3):
            logging.getLogger("training").warning("It goes on.")
        logging.getLogger("training").warning("Something else.")
        inside, outside = json_lines(kept)
        assert (inside["run"], inside["round"]) == (7, 3)
        assert "run" not in outside

    @override_settings(LOG_REQUESTS=True)
    def test_hold_no_secret(self, world: World, logged: Kept) -> None:
        _invitation, link = Invitation.issue(
            world.project, name="friends", roles=[Role.ANNOTATOR], lifetime=DAY, created_by=world.ada
        )
        token = make_token(world.alice)
        client = Client(raise_request_exception=False)
        client.get(f"/join/{link}x/")
        client.post("/account/login/", {"login": "alice", "password": PASSWORD})
        client.post("/account/login/", {"login": "alice", "password": f"{PASSWORD}!"})
        client.get("/api/v1/projects/", headers={"authorization": f"Bearer {token}x"})
        session = client.cookies["sessionid"].value
        database = connection.settings_dict["PASSWORD"]
        log = logging.getLogger("anything")
        log.warning("Could not reach redis://:hush-hush@redis:6379/0")
        log.warning("sent %s", {"Cookie": f"sessionid={session}; csrftoken=abc", "Authorization": f"Bearer {token}"})
        log.warning("%s and %s", settings.SECRET_KEY, database)
        try:
            raise ValueError(f"password={PASSWORD!r} of postgresql://plumbline:{database}@db/plumbline")
        except ValueError:
            log.exception("It failed with %s", token)
        text = "\n".join(logged.lines)
        assert "It failed with" in text
        found = [secret for secret in (link, token, PASSWORD, session, database, settings.SECRET_KEY, "hush-hush")
                 if secret in text]  # fmt: skip
        assert found == []


def root_token() -> str:
    root, _new = User.objects.get_or_create(username="root", defaults={"is_superuser": True})
    return make_token(root)


def figures(token: str) -> dict[str, float]:
    response = Client().get("/metrics/", headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _space, value in (line.rpartition(" ") for line in lines)}
