"""Requests that schemathesis draws from our own OpenAPI schema, by each kind of person: no answer is an error of ours,
and each is one that the schema promises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
import requests
import schemathesis
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from annotation.audiences import audience_for
from config.addresses import Address
from tests.access.things import Things, parameters
from tests.access.visits import IN, ROLES, expected, ours

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import APIOperation

    from tests.access.visits import Scene

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
HERE, NEXT_DOOR, ANYWHERE = "here", "next door", "anywhere"
QUICK = settings(
    max_examples=4, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
ONCE = settings(QUICK, max_examples=1)
THOROUGH = settings(QUICK, max_examples=60, derandomize=False, phases=[Phase.generate, Phase.shrink])


def operations() -> list[APIOperation]:
    schema = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    loaded = schemathesis.openapi.from_dict(schema)
    found = [each.ok() for each in loaded.get_all_operations()]
    return [each for each in found if each.path.startswith("/api/v1/")]


def address_of(operation: APIOperation) -> Address:
    """The address of ours that the operation is at: they differ in what they call the parameters."""
    wanted = re.sub(r"{[^}]*}", "{}", operation.path)
    [found] = [each for each in ours() if re.sub(r"<[^>]*>", "{}", "/" + each.route) == wanted]
    return found


def named(operation: APIOperation, things: Things) -> dict[str, str]:
    address = address_of(operation)
    values = [str(things.thing(address, parameter)) for parameter in parameters(address)]
    return dict(zip(re.findall(r"{(\w+)}", operation.path), values, strict=True))


def drawn(operation: APIOperation) -> st.SearchStrategy[Case]:
    """Requests as the schema has them, and every third with something else."""
    allowed, forbidden = (operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)
    return st.one_of(allowed, allowed, forbidden)


def asked(scene: Scene, who: str, case: Case) -> schemathesis.Response:
    """What the person is answered; whatever it changes is undone."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    path, _mark, query = sent.path_url.partition("?")
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    dropped = ("content-type", "content-length", "authorization", "cookie")
    headers = {name: value for name, value in sent.headers.items() if name.lower() not in dropped}
    with transaction.atomic():
        answer: Any = scene.client(who).generic(
            str(sent.method), unquote(path), body, sent.headers.get("Content-Type", ""),
            QUERY_STRING=query, headers=headers,
        )  # fmt: skip
        content = answer.getvalue()
        transaction.set_rollback(True)
    told = {name: [value] for name, value in answer.headers.items()}
    return schemathesis.Response(answer.status_code, told, content, sent, elapsed=0.0, verify=False)


def faults(scene: Scene, who: str, operation: APIOperation, examples: settings) -> list[str]:
    found: dict[str, str] = {}

    @examples
    @seed(0)
    @given(drawn(operation), st.sampled_from([HERE, HERE, HERE, HERE, NEXT_DOOR, ANYWHERE]))
    def ask(case: Case, where: str) -> None:
        if where != ANYWHERE:
            case.path_parameters = named(operation, scene.here if where == HERE else scene.next_door)
        response = asked(scene, who, case)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                what = f"{operation.method.upper()} {operation.path}: {response.status_code} {type(failure).__name__}"
                found.setdefault(what, f"{failure}\n{response.content[:300]!r}\n{case.as_curl_command()[:400]}")

    ask()
    return [f"{who}: {what}: {why}" for what, why in found.items()]


def admitted(operation: APIOperation, scene: Scene) -> list[str]:
    """One who may ask, and one who may not."""
    audience = audience_for(address_of(operation).audiences, operation.method.upper())
    answers = {who: expected(audience, who, scene.here) for who in ROLES}
    return [next(who for who in ROLES if (answers[who] == IN) == may) for may in (True, False)]


def test_what_the_schema_allows_and_forbids_is_answered_as_it_says(scene: Scene) -> None:
    wrong = [
        each
        for operation in operations()
        for who, examples in zip(admitted(operation, scene), (QUICK, ONCE), strict=True)
        for each in faults(scene, who, operation, examples)
    ]
    assert wrong == [], "\n\n".join(["", *wrong])


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("who", ROLES)
def test_so_is_each_kind_of_person_many_times(scene: Scene, who: str) -> None:
    wrong = [each for operation in operations() for each in faults(scene, who, operation, THOROUGH)]
    assert wrong == [], "\n\n".join(["", *wrong])


HOSTILE = {
    "NUL": b'{"draft": {"a\\u0000b": "\\u0000"}, "text": "\\u0000", "name": "\\u0000"}',
    "half of a surrogate pair": b'{"draft": {"\\ud800": ["\\udfff"]}, "text": "\\ud800", "name": "\\ud800"}',
    "numbers that are none": b'{"draft": {"a": 1e999}, "seconds": 1e999, "days": 1e999, "max_uses": 1e999}',
    "great numbers": b'{"draft": {"a": %s}, "acceptable": %s, "version": %s}' % ((b"9" * 40,) * 3),
    "numbers too great for Python": b'{"draft": {"a": %s}}' % (b"9" * 5_000),
    "nested deeply": b'{"draft": ' * 20_000 + b"1" + b"}" * 20_000,
    "no JSON": b'{"draft": ',
    "not UTF-8": b'{"draft": "\xff\xfe"}',
    "a list": b"[[], {}]",
    "a text": b'"draft"',
    "nothing": b"null",
}


def test_what_is_barely_json_is_an_error_of_the_sender_everywhere(scene: Scene) -> None:
    wrong = []
    for operation in operations():
        if (method := operation.method.upper()) in ("POST", "PUT", "PATCH"):
            who, where = admitted(operation, scene)[0], operation.path.format(**named(operation, scene.here))
            for what, body in HOSTILE.items():
                with transaction.atomic():
                    answer: Any = scene.client(who).generic(method, where, body, "application/json")
                    transaction.set_rollback(True)
                if answer.status_code >= 500:
                    error = answer.exc_info and answer.exc_info[1]
                    wrong.append(f"{method} {where}, {what}: {answer.status_code} {error!r}")
    assert wrong == [], "\n".join(["", *wrong])
