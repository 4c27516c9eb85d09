"""People who go to every address, and what each is to find there by what the view declares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from annotation.audiences import (
    Anyone,
    Audience,
    CreatingMembers,
    Creators,
    Members,
    OwnAssignment,
    OwnToken,
    Staff,
    Superusers,
)
from annotation.models import Role, User
from config.addresses import Address, addresses
from tests.access.things import Things, make_things
from tests.world import make_person, make_world

ANONYMOUS = "nobody who signed in"
IN, SIGN_IN, REFUSED, NOT_THERE = "let in", "asked to sign in", "refused", "not there"
# Who holds which roles where; an admin's are what an admin may do.
ALL = frozenset(Role)
ADMIN = ALL - {Role.ANNOTATOR}
ROLES: dict[str, dict[str, frozenset[Role]]] = {
    "alice": {"capitals": frozenset({Role.ANNOTATOR})},
    "bob": {"capitals": frozenset({Role.ANNOTATOR})},
    "rita": {"capitals": frozenset({Role.REVIEWER})},
    "rosa": {"capitals": frozenset({Role.RESEARCHER})},
    "ada": {"capitals": ADMIN},
    "charlie": {"next-door": ALL},
    "root": {"capitals": ADMIN, "next-door": ADMIN},
    "a stranger": {},
    ANONYMOUS: {},
}
WRITES = re.compile(r"(?:insert into|(?<!do )(?<!for )update|delete from) \"?(\w+)", re.IGNORECASE)


@dataclass
class Scene:
    """Two projects with the same in them; Alice holds the pieces in one, Charlie those next door."""

    here: Things
    next_door: Things
    sessions: dict[str, str] = field(default_factory=dict)

    def client(self, who: str) -> Client:
        client = Client(raise_request_exception=False)
        if who != ANONYMOUS:
            client.cookies["sessionid"] = self.sessions[who]
        return client

    def visit(self, who: str, method: str, path: str) -> HttpResponse:
        """What the person gets; whatever it changes is undone."""
        content = {"content_type": "application/json", "data": "{}"} if path.startswith("/api/") else {}
        with transaction.atomic():
            response: Any = getattr(self.client(who), method.lower())(path, **content if method != "GET" else {})
            if response.streaming:
                response.getvalue()  # to its end, which closes what it reads from
            transaction.set_rollback(True)
        return response  # type: ignore[no-any-return]


def build_scene() -> Scene:
    world = make_world()
    cleo = make_person("cleo", world.next_door, Role.ADMIN)
    dora = make_person("dora", world.next_door, Role.ANNOTATOR)
    people = world.everyone() | {"a stranger": make_person("stranger"), "root": User.objects.create_superuser("root")}
    scene = Scene(
        make_things(world.project, world.alice, other=world.bob, admin=world.ada),
        make_things(world.next_door, world.charlie, other=dora, admin=cleo),
    )
    for who, person in people.items():
        client = Client()
        client.force_login(person)
        scene.sessions[who] = client.cookies["sessionid"].value
    return scene


def ours() -> list[Address]:
    return [address for address in addresses() if address.is_ours]


def others() -> list[Address]:
    return [address for address in addresses() if not address.is_ours]


def expected(audience: Audience, who: str, things: Things) -> str:
    """The answer that the declaration promises to the person, of a thing of that project."""
    if isinstance(audience, Anyone):
        return IN
    if who == ANONYMOUS:
        return SIGN_IN
    roles = ROLES[who].get(things.project.slug, frozenset())
    match audience:
        case OwnAssignment() | OwnToken():
            return IN if who == things.holder.username else NOT_THERE
        case Members():
            if not roles:
                return NOT_THERE
            if audience.roles and roles.isdisjoint(audience.roles):
                return REFUSED
            return REFUSED if isinstance(audience, CreatingMembers) and who != "root" else IN
        case Creators() | Superusers():
            return IN if who == "root" else REFUSED
        case Staff():
            return IN if who == "root" else SIGN_IN
    return IN


def found(response: HttpResponse) -> str:
    """What the answer amounts to. Refusing what was sent is being let in."""
    status = response.status_code
    if status == 401 or (status == 302 and "/login/" in response["Location"]):
        return SIGN_IN
    known = {403: REFUSED, 404: NOT_THERE}
    return known.get(status, f"answered {status}" if status == 405 or status >= 500 else IN)


def path_of(address: Address, named: dict[str, object]) -> str:
    return reverse(address.name, kwargs=named)


@contextmanager
def tables_written() -> Iterator[set[str]]:
    """The tables that statements within the block write to."""
    written: set[str] = set()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        written.update(WRITES.findall(sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield written
