"""Forms as no page sends them, to each address that takes one: refused with a page that says why, or understood."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction
from django.http import HttpResponse

from config.addresses import Address
from tests.access.visits import IN, ROLES, expected, ours, path_of, tables_written
from tests.fuzz.forms import Fields, Forms, Sent, malformed

if TYPE_CHECKING:
    from tests.access.visits import Scene

SAYS_WHY = re.compile(rb'role="alert"|class="[^"]*error|<h1|class="[^"]*messages')
PEOPLE = ("alice", "ada", "rosa", "rita", "root")
MORE = {"django_session", "annotation_auditentry"}  # what was said to whom, and who tried


@pytest.fixture(autouse=True)
def no_model_is_waited_for(settings: Any) -> None:
    """There is no worker here that would start one for the playground."""
    settings.PLAYGROUND_MODELS = 0


def shown(scene: Scene) -> dict[tuple[str, str], Fields]:
    """The fields that pages send to an address, by method; of several forms with one address, all fields."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for who in PEOPLE:
        for address in pages("GET"):
            where = path_of(address, scene.here.named_by(address))
            response = scene.visit(who, "GET", where)
            if response.status_code == 200 and "html" in response["Content-Type"]:
                for form in Forms(response.content.decode(), shown_at=where).found:
                    found[form.method, form.path] |= dict(form.fields)
    return {key: list(fields.items()) for key, fields in found.items()}


def pages(method: str) -> list[Address]:
    return [each for each in ours() if method in each.audiences and not each.route.startswith("api/")]


def admitted(scene: Scene, address: Address, method: str) -> str:
    return next(who for who in (*PEOPLE, *ROLES) if expected(address.audiences[method], who, scene.here) == IN)


def send(scene: Scene, who: str, method: str, where: str, sent: Sent) -> tuple[HttpResponse, set[str]]:
    """The answer, and the tables that are not as they were although the answer is a refusal."""
    client: Any = scene.client(who)
    with transaction.atomic(), tables_written() as written:
        if method == "GET":
            response = client.get(f"{where}?{sent.body.decode('latin-1')}")
        else:
            response = client.post(where, sent.body, content_type="application/x-www-form-urlencoded")
        refused = response.status_code >= 400
        tables = set(connection.introspection.table_names()) & written - MORE if refused else set()
        after = {table: content_of(table) for table in tables}
        transaction.set_rollback(True)
    return response, {table for table in after if after[table] != content_of(table)}


def is_for_scripts(response: HttpResponse) -> bool:
    return response["Content-Type"].startswith(("application/json", "text/plain")) and len(response.content) > 20


def error_of(response: Any) -> str:
    """The last words of an error that the test client saw."""
    error = response.exc_info[1] if response.exc_info else None
    place = traceback.extract_tb(error.__traceback__)[-1] if error else None
    return f"{error!r} {place}"


def content_of(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f'select t::text from "{table}" t order by 1')
        return hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()


def faults(scene: Scene, forms: Iterable[tuple[str, str, str, Fields]], *, most: int) -> list[str]:
    found = []
    others = [str(scene.next_door.known["assignments/pk"])]
    for who, method, where, fields in forms:
        for sent in malformed(fields, others=others, most=most):
            response, left = send(scene, who, method, where, sent)
            status, content = response.status_code, b"" if response.streaming else response.content
            what = f"{who}: {method} {where}, {sent.wrong}"
            if status not in (200, 202, 204, 302, 400, 403, 404, 409, 413, 422):
                found.append(f"{what}: {status} {error_of(response)}")
            elif status >= 400 and not (SAYS_WHY.search(content) or is_for_scripts(response)):
                found.append(f"{what}: {status} without a word: {content[:80]!r}")
            if left:
                found.append(f"{what}: {status}, but written: {left}")
    return found


def addressed(scene: Scene, method: str) -> list[tuple[str, str, str, Fields]]:
    fields = shown(scene)
    found = []
    for address in pages(method):
        where = path_of(address, scene.here.named_by(address))
        found.append((admitted(scene, address, method), method, where, fields.get((method, where), [])))
    return found


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_malformed_form_is_answered_with_a_page_that_says_why(scene: Scene, method: str) -> None:
    forms = addressed(scene, method)
    assert sum(1 for *_to, fields in forms if fields) > (25 if method == "POST" else 5)
    wrong = faults(scene, forms, most=1)
    assert wrong == [], "\n".join(["", *wrong])


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_so_is_every_one(scene: Scene, method: str) -> None:
    wrong = faults(scene, addressed(scene, method), most=99)
    assert wrong == [], "\n".join(["", *wrong])
