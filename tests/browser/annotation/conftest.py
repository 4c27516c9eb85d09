"""People of the test project, signed in, each with a browser of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import wait_until_served

if TYPE_CHECKING:
    from annotation.models import User
    from tests.world import World

SignIn = Callable[..., Page]


@pytest.fixture
def world(transactional_db: None) -> World:
    from tests.world import make_world  # Django's models can be imported only once pytest has set it up

    return make_world()


@pytest.fixture
def sign_in(browser: Browser, live_server: LiveServer) -> Iterator[SignIn]:
    """Opens a page of a person who has signed in. The test fails if a page of theirs logged an error."""
    complaints: list[str] = []
    contexts = []

    def open_page(
        person: User, *, width: int = 1280, language: str = "en", dark: bool = False, js: bool = True
    ) -> Page:
        client = Client()
        client.force_login(person)
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=js,
            has_touch=width < 500,
        )
        cookies = {"sessionid": client.cookies["sessionid"].value, "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": live_server.url} for name, value in cookies.items()])
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        contexts.append(context)
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    wait_until_served()
    assert complaints == []
