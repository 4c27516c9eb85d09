"""Every address, each method of it, each kind of person, in their own project and next door: what is answered is what
the view declares (annotation.audiences).
"""

from __future__ import annotations

import pytest
from django.core.checks.registry import registry
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from annotation.api.base import Endpoint
from annotation.audiences import Anyone
from annotation.models import User
from annotation.views.home import theme
from config.checks import every_view_says_whom_it_is_for
from tests.access.things import PARAMETER, PLAIN, parameters
from tests.access.visits import (
    ANONYMOUS,
    IN,
    NOT_THERE,
    ROLES,
    SIGN_IN,
    Scene,
    expected,
    found,
    others,
    ours,
    path_of,
    tables_written,
)

# Who took data away, what was said to whom, and how often somebody asked.
KEPT_BY_LOOKING = {"annotation_auditentry", "django_session", "plumbline_config_cache"}


@pytest.mark.parametrize("who", ROLES)
def test_each_view_answers_each_person_as_it_declares(scene: Scene, who: str) -> None:
    wrong = []
    for address in ours():
        for things in (scene.here, scene.next_door):
            where = path_of(address, things.named_by(address))
            for method, audience in address.audiences.items():
                due, got = expected(audience, who, things), found(scene.visit(who, method, where))
                if due != got:
                    wrong.append(f"{who}: {method} {where} ({address.name}): {got}; expected: {due}")
    assert wrong == [], "\n".join(["", *wrong])


def test_what_belongs_to_another_project_is_not_there(scene: Scene) -> None:
    """For somebody who may do everything here and next door, by an address that begins with this project."""
    wrong = []
    for address in ours():
        here, next_door = scene.here.named_by(address), scene.next_door.named_by(address)
        for parameter, before in parameters(address).items():
            if parameter == "slug" or f"{before}/{parameter}" in PLAIN or next_door[parameter] == here[parameter]:
                continue
            if "slug" not in here and parameter == "pk":
                continue  # the row says which project it is of: the test above
            where = path_of(address, here | {parameter: next_door[parameter]})
            for method, audience in address.audiences.items():
                if isinstance(audience, Anyone):
                    continue
                who = "alice" if expected(audience, "alice", scene.here) == IN else "root"
                if (got := found(scene.visit(who, method, where))) != NOT_THERE:
                    wrong.append(f"{who}: {method} {where} ({address.name}): {got}")
    assert wrong == [], "\n".join(["", *wrong])


def test_a_method_that_no_view_declares_is_not_allowed(scene: Scene) -> None:
    wrong = []
    for address in ours():
        where = path_of(address, scene.here.named_by(address))
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(address.audiences):
            if (status := scene.visit("root", method, where).status_code) != 405:
                wrong.append(f"{method} {where}: {status}")
    assert wrong == [], "\n".join(["", *wrong])


def test_looking_at_anything_changes_nothing(scene: Scene) -> None:
    wrong = []
    for address in ours():
        where = path_of(address, scene.here.named_by(address))
        for who in ("alice", "ada") if "GET" in address.audiences else ():
            with tables_written() as written:
                scene.visit(who, "GET", where)
            if written - KEPT_BY_LOOKING:
                wrong.append(f"{who}: {where}: {written}")
    assert wrong == [], "\n".join(["", *wrong])


@pytest.mark.parametrize("who", [ANONYMOUS, "alice", "ada", "root"])
def test_views_of_other_packages_ask_those_to_sign_in_of_whom_we_say_so(scene: Scene, who: str) -> None:
    """What else they answer is theirs to say."""
    wrong = []
    for address in others():
        where = "/" + PARAMETER.sub("1", address.route).replace("^", "").replace("$", "")
        due, response = expected(address.audiences[""], who, scene.here), scene.visit(who, "GET", where)
        if (found(response) == SIGN_IN) != (due == SIGN_IN) or response.status_code >= 500:
            wrong.append(f"{who}: {where}: {found(response)}; expected: {due}")
    assert wrong == [], "\n".join(["", *wrong])


def undeclared(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Anyone may read this.")


urlpatterns = [path("forgotten/", undeclared, name="forgotten"), path("theme/", theme, name="theme")]


@override_settings(ROOT_URLCONF=__name__)
def test_a_view_that_does_not_say_whom_it_is_for_fails_the_check() -> None:
    [error] = every_view_says_whom_it_is_for()
    assert (error.id, error.is_serious()) == ("config.E001", True)
    assert "/forgotten/ (forgotten)" in error.msg
    assert "AUDIENCES" in str(error.hint)


def test_every_view_says_whom_it_is_for() -> None:
    assert every_view_says_whom_it_is_for() == []
    assert len(ours()) > 100
    assert every_view_says_whom_it_is_for in set(registry.registered_checks)


def test_an_endpoint_without_an_audience_lets_nobody_in(scene: Scene) -> None:
    class Forgotten(Endpoint):
        def get(self, request: Request) -> Response:
            return Response("Anyone may read this.")

    request = APIRequestFactory().get("/")
    force_authenticate(request, User.objects.get(username="root"))
    with pytest.raises(AttributeError, match="audience"):
        Forgotten.as_view()(request)
