"""A headless Chromium for the tests that look at the pages as a person does. `make test` sees to its installation."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from config.install import find_browser

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The browser's driver runs an event loop in the test's own thread, where Django would refuse to touch the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run; each test takes a `context` or a `page` of its own from it."""
    path = find_browser()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine; install one: apt-get install chromium")
        pytest.skip("no Chromium on this machine; install one to run the browser tests: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=os.geteuid() != 0)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser, live_server: object) -> Iterator[BrowserContext]:
    """A person's browser with nothing in it: no cookies, no storage; relative addresses mean the live server."""
    context = browser.new_context(base_url=str(live_server), locale="en-US", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield context
    context.close()
    wait_until_served()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page that fails its test when a script on it throws or the content policy blocks something."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script threw: {error}"))
    return page


def wait_until_served() -> None:
    """Until the server has done what closed pages had asked of it: emptying the tables beside it could deadlock."""
    from django.db import connection

    busy = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> %s"
    quiet, deadline = 0, time.monotonic() + 10
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        own = cursor.fetchone()
        while quiet < 3 and time.monotonic() < deadline:  # a request may be between two statements
            cursor.execute(busy, own)
            quiet = quiet + 1 if cursor.fetchone() == (0,) else 0
            time.sleep(0.02)
