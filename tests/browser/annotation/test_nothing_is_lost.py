"""What one types, skips or hands in late comes back, whatever becomes of the page, the server or the connection."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from annotation.models import Assignment, AssignmentState, Demonstration, ItemKind, User
from tests.browser.annotation.conftest import SignIn
from tests.world import World, make_prompt, taken

HALF = "Paris is the cap"


@pytest.fixture
def piece(world: World) -> Assignment:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    return taken(world.project, world.alice, ItemKind.DEMONSTRATION)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Servers come up and saves are tried again in seconds, not at once."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


def opened(page: Page, piece: Assignment) -> Page:
    page.set_default_timeout(60_000)
    page.goto(f"/assignments/{piece.pk}/")
    expect(page.get_by_text("Ctrl", exact=True)).to_be_visible()  # shown by the page's script
    return page


def kept_here(page: Page) -> list[str]:
    names: list[str] = page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('plumbline-kept'))")
    return names


class Server:
    """A server process of the test's own over the test's database, to be killed and started again."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        held = connection.settings_dict
        query = urlencode({"host": held["HOST"], "port": held["PORT"]})
        named = f"{quote(held['USER'])}:{quote(held['PASSWORD'] or '')}"
        environment = os.environ | {
            "DATABASE_URL": f"postgresql://{named}@/{held['NAME']}?{query}", "SECRET_KEY": settings.SECRET_KEY,
            "PUBLIC_HTTPS": "False", "DEBUG": "True", "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        options = ["--noreload", "--verbosity=0", "--skip-checks"]
        command = [sys.executable, "manage.py", "runserver", *options, str(self.port)]
        self.process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError("the server has not come up in 60 seconds")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def browser_of(browser: Browser, server: Server, person: User) -> BrowserContext:
    client = Client()
    client.force_login(person)
    context = browser.new_context(base_url=server.url)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server.url}])
    context.set_default_timeout(60_000)
    return context


def test_a_draft_survives_a_server_restart_a_reload_and_another_device(
    world: World, piece: Assignment, browser: Browser, server: Server
) -> None:
    laptop, phone = browser_of(browser, server, world.alice), browser_of(browser, server, world.alice)
    page = opened(laptop.new_page(), piece)
    page.get_by_label("Your answer").fill("Paris")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    assert kept_here(page) == []
    server.stop()
    page.get_by_label("Your answer").fill(HALF)
    expect(page.get_by_text("Not saved yet: the server does not answer. Trying again.").first).to_be_visible()
    page.close()
    server.start()
    page = opened(laptop.new_page(), piece)
    expect(page.get_by_label("Your answer")).to_have_value(HALF)
    expect(page.get_by_text("Draft saved")).to_be_visible()
    assert kept_here(page) == []
    expect(opened(phone.new_page(), piece).get_by_label("Your answer")).to_have_value(HALF)
    for context in (laptop, phone):
        context.close()


def test_a_submit_to_a_server_that_is_away_is_sent_when_it_is_back(
    world: World, piece: Assignment, browser: Browser, server: Server
) -> None:
    context = browser_of(browser, server, world.alice)
    page = opened(context.new_page(), piece)
    server.stop()
    page.get_by_label("Your answer").fill("Paris.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Not submitted yet: the server does not answer.").first).to_be_visible()
    server.start()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert Demonstration.objects.get().text == "Paris."
    assert kept_here(page) == []
    context.close()


def test_of_two_texts_that_went_apart_the_person_chooses(world: World, piece: Assignment, sign_in: SignIn) -> None:
    page = opened(sign_in(world.alice), piece)
    page.route("**/draft/", lambda route: route.fulfill(status=503))
    page.get_by_label("Your answer").fill("typed on the train")
    expect(page.get_by_text("Not saved yet").first).to_be_visible()
    Assignment.objects.update(draft={"text": "typed at home"})
    page.reload()
    expect(page.get_by_label("Your answer")).to_have_value("typed at home")
    page.get_by_role("button", name="Use this browser's text").click()
    expect(page.get_by_label("Your answer")).to_have_value("typed on the train")
    sign_in.complaints.clear()  # type: ignore[attr-defined] # the browser logs the 503, which is what was asked of it


def test_signing_out_saves_what_was_typed_and_leaves_nothing_in_the_browser(
    world: World, piece: Assignment, sign_in: SignIn
) -> None:
    page = opened(sign_in(world.alice), piece)
    page.get_by_label("Your answer").fill(HALF)
    page.get_by_text("alice", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert kept_here(page) == []
    piece.refresh_from_db()
    assert piece.draft["text"] == HALF


def test_a_skip_is_undone_with_what_was_typed(world: World, piece: Assignment, sign_in: SignIn) -> None:
    make_prompt(world.project, "And of Italy?")
    page = opened(sign_in(world.alice), piece)
    page.get_by_label("Your answer").fill(HALF)
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.get_by_text("Skip", exact=True).click()
    page.get_by_role("button", name="Cannot be answered").click()
    expect(page.locator(".as-markdown").get_by_text("And of Italy?")).to_be_visible()
    page.get_by_role("button", name="Undo the skip").click()
    expect(page.get_by_label("Your answer")).to_have_value(HALF)
    piece.refresh_from_db()
    assert piece.state == AssignmentState.LEASED


def test_what_was_submitted_can_be_changed(world: World, piece: Assignment, sign_in: SignIn) -> None:
    page = opened(sign_in(world.alice), piece)
    page.get_by_label("Your answer").fill("Pariss.")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto(f"/assignments/{piece.pk}/")
    page.get_by_role("link", name="Change it").click()
    expect(page.get_by_label("Your answer")).to_have_value("Pariss.")
    page.get_by_label("Your answer").fill("Paris.")
    expect(page.get_by_text("Kept in this browser until you submit")).to_be_visible()
    page.get_by_role("button", name="Save the change").click()
    expect(page.get_by_text("Changed.")).to_be_visible()
    assert Demonstration.objects.get().text == "Paris."
    assert kept_here(page) == []
