"""Secrets are planted everywhere, the product is used, and everything that it wrote is searched for them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings

from annotation import exporting
from annotation.logs import Line, _our_own, begin, without_secrets
from annotation.models import ApiToken
from tests.access.visits import IN, ROLES, expected, ours, path_of
from tests.world import PASSWORD

if TYPE_CHECKING:
    from tests.access.visits import Scene
    from tests.training.world import Lab

KEY = "sk-of-an-endpoint-1234567890"
TYPO = "my real passwort with a typo"
OWN_PLACES = ("postgres/", "secret_key", "endpoint_secret", "postgres.password")  # each readable by its owner alone


@pytest.fixture
def lab(db: Any) -> Lab:
    from tests.training.world import build_lab  # models can be imported only once Django is set up

    return build_lab()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the console shows, from now on."""
    written = io.StringIO()
    [console] = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    before = console.setStream(written)
    yield written
    console.setStream(before)


def planted(scene: Scene, token: str) -> dict[str, str]:
    return {
        "SECRET_KEY": settings.SECRET_KEY,
        "the database's password": connection.settings_dict["PASSWORD"],
        "a token": token,
        "a password": PASSWORD,
        "a mistyped password": TYPO,
        "a session": scene.sessions["ada"],
        "an invitation": str(scene.here.known["join/secret"]),
        "the key of an external model": KEY,
    }


def found_in(content: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret and secret.encode() in content]


def files_below(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not str(path.relative_to(folder)).startswith(OWN_PLACES):
            yield path


def use_everything(scene: Scene, token: str) -> Iterator[tuple[str, bytes]]:
    """Every page and endpoint of each person, as they answer, mistakes included."""
    script = Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)
    for address in ours():
        where = path_of(address, scene.here.named_by(address))
        for method, audience in address.audiences.items():
            who = next((who for who in ROLES if expected(audience, who, scene.here) == IN), "root")
            response = scene.visit(who, method, where)
            if not response.streaming and (address.name, method) != ("join", "GET"):  # that page shows its own address
                yield f"{method} {where}", response.content
        yield f"PUT {where}", scene.visit("ada", "PUT", where).content
        if address.name != "join":
            yield f"{where} with a token", getattr(script.get(where), "content", b"")
    yield "sign-in", Client().post("/account/login/", {"login": "ada", "password": TYPO}).content
    for kind in exporting.KINDS:
        for form in exporting.FORMATS:
            yield f"export of {kind} as {form}", b"".join(exporting.stream(scene.here.project, kind, form))


def test_nothing_that_is_written_or_answered_holds_a_secret(
    scene: Scene, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotation.models import User
    from training.external import registering

    cache.clear()
    ada = User.objects.get(username="ada")
    _row, token = ApiToken.issue(ada, name="script", lifetime=timedelta(days=1))
    values = {"base_url": "https://api.example.org/v1", "model": "m"}
    registering.register(scene.here.project, name="outside", key=KEY, values=values, by=ada)
    secrets = planted(scene, token)

    def broken(*args: Any, **values: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("annotation.api.projects.progress", broken)
    wrong = [f"{what}: {each}" for what, content in use_everything(scene, token) for each in found_in(content, secrets)]
    wrong += [f"the log: {each}" for each in found_in(log.getvalue().encode(), secrets)]
    for path in files_below(Path(settings.DATA)):
        wrong += [f"{path}: {each}" for each in found_in(path.read_bytes(), secrets)]
    wrong += [f"the database: {each}" for each in found_in(database(), secrets | {"a session": ""})]
    assert wrong == [], "\n".join(["", *wrong])
    assert "broken on purpose" in log.getvalue()  # or nothing was looked at
    assert "/join/…" in log.getvalue()


def database() -> bytes:
    """All rows of all tables, as texts."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'select t::text from "{table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows).encode()


def test_a_training_run_writes_no_secret_into_its_folder_or_the_log(lab: Lab, log: io.StringIO) -> None:
    from training import runs
    from training.datasets import freeze
    from training.models import RunState, Stage
    from training.tasks import execute_run

    dataset = freeze(lab.project, user=lab.rosa)
    run = runs.create(
        lab.project, stage=Stage.SFT, user=lab.rosa, dataset=dataset, base=lab.base, preset="test", values={}
    )
    execute_run(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.error
    secrets = {"SECRET_KEY": settings.SECRET_KEY, "the database's password": connection.settings_dict["PASSWORD"]}
    files = [*files_below(run.folder), *files_below(dataset.folder)]
    assert len(files) > 8
    wrong = [f"{path}: {each}" for path in files for each in found_in(path.read_bytes(), secrets)]
    assert wrong + found_in(log.getvalue().encode(), secrets) == []


@override_settings(SECRET_KEY_FALLBACKS=["the-one-before-it"], ENDPOINT_SECRETS=["that-seals-the-keys"])
def test_a_line_of_the_log_loses_the_secrets_of_before_and_those_that_seal_keys() -> None:
    _our_own.cache_clear()
    try:
        assert without_secrets("the-one-before-it and that-seals-the-keys") == "… and …"
    finally:
        _our_own.cache_clear()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("Not Found: /join/aB3-_x/", "Not Found: /join/…/"),
        ("The token plumb_aB3-_x is odd", "The token … is odd"),
        ("100% of /projects/joined/", "100% of /projects/joined/"),
    ],
)
def test_a_line_of_the_log_loses_its_secrets_and_nothing_else(told: str, expected: str) -> None:
    begin()  # about no request of another test
    record = logging.LogRecord("x", logging.INFO, "", 1, "%s", (told,), None)
    assert Line("{message}", style="{").format(record) == expected
