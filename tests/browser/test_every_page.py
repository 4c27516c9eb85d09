"""Every page that the address configuration names, as each role sees it, and what comes in the place of a form that was
refused: no fault that axe finds, in both themes and languages; nothing wider than a phone; nothing logged as an error;
no English left where Chinese was asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import Browser, ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

from annotation.views.decorators import INVALID
from tests.browser.conftest import wait_until_served
from tests.browser.everything import Everything, Refused, build_everything
from tests.world import PASSWORD

NOT_OURS = ("admin/", "api/")  # Django's own pages, and those of the API's documentation
HALFWAY = "half of Rosa"  # who has typed her password and no code yet
NO_PAGE = {  # what one gets under these names is no page, whoever asks
    "set_language",
    "timesheet", "timesheets", "export-file", "dataset-file", "policy-archive", "reward-model-archive",  # files
    "health", "readiness", "metrics",  # for machines
    "models-compare-file", "models-report", "models-report-zip",
    "account_set_password",  # who has a password changes it
    "account_confirm_login_code",  # no codes are sent
    "mfa_download_recovery_codes",  # a file
}  # fmt: skip
REFUSED = [("alice", "/projects/capitals/audit/"), ("ada", "/projects/nowhere/"), ("a stranger", "/join/used-up/")]
SOMETHING = {"pk": 1, "number": 1, "batch": "00000000-0000-0000-0000-000000000000"}
ALL_RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
# What another theme or width can change; the rest is the same.
SOME_RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["color-contrast", "scrollable-region-focusable", "target-size"],
}
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# All that can be opened; and nothing sticks to an edge: axe takes what a bar covers for too small to hit.
OPEN_ALL = """() => {
  for (const each of document.querySelectorAll("main details:not(.menu)")) each.open = true;
  for (const each of document.querySelectorAll("main *"))
    if (getComputedStyle(each).position === "sticky") each.style.position = "relative";
}"""
# Sends a form as a browser does that checks nothing itself.
SEND = """([to, sent]) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: to, hidden: true });
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  for (const [name, value] of Object.entries({ ...sent, csrfmiddlewaretoken: token })) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What the page itself says, to eye and ear. What people, models and the researcher's files say is marked as such.
TEXTS = """() => {
  const theirs = "[dir=auto], code, pre, kbd, textarea, script, style, [lang]:not(html)";
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [document.title];
  while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(theirs)) found.push(walk.currentNode.data);
  for (const name of ["aria-label", "title", "placeholder", "alt"])
    for (const each of document.querySelectorAll(`[${name}]`))
      if (!each.closest(theirs)) found.push(each.getAttribute(name));
  return found;
}"""
ENGLISH = re.compile(r"[A-Za-z’'-]{2,}(?: [A-Za-z’'-]+)+")
# What stays as it is in Chinese: names, the unit, a language's name in that language, and what the page quotes.
KEPT = re.compile(r"Hugging Face( Hub)?|JSON Lines|token|English|“[^”]*”")


def names() -> dict[str, list[str]]:
    """Every name of ours in the address configuration, with the parameters that it takes."""
    return {str(each.name): list(each.pattern.regex.groupindex) for each in patterns(get_resolver().url_patterns)}


def patterns(found: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for each in found:
        if str(each.pattern).startswith(NOT_OURS):
            continue
        yield from [each] if isinstance(each, URLPattern) else patterns(each.url_patterns)


def is_page(name: str, parameters: list[str]) -> bool:
    """Whether one can look at what bears the name: not where it takes a POST, which is said before anything is read."""
    path = reverse(name, kwargs={each: SOMETHING.get(each, "some-thing") for each in parameters})
    return name not in NO_PAGE and Client().get(path).status_code != 405


def pages(shown: Everything, sessions: dict[str, Client], *, by_everyone: bool) -> list[tuple[str, str]]:
    """Who looks at which address: everybody who may, or only the first of them."""
    found = []
    for name, parameters in names().items():
        if not is_page(name, parameters):
            continue
        addresses = shown.addresses_of(name, parameters)
        assert addresses, f"nobody looks at a page of “{name}” {parameters}: say in everything.py what to fill it with"
        for address in addresses:
            # Who looks elsewhere halfway through signing in has given it up.
            may_look = {who: each for who, each in sessions.items() if who != HALFWAY or name == "mfa_authenticate"}
            seen_by = [who for who, session in may_look.items() if session.get(address).status_code == 200]
            assert seen_by, f"nobody may look at {address} (“{name}”)"
            found += [(who, address) for who in seen_by[: None if by_everyone else 1]]
    return found


def signed_in(shown: Everything) -> dict[str, Client]:
    """Those who see most come first. A guest has followed an invitation and has no account yet; Rosa has a second
    factor, and is at once halfway through another sign-in.
    """
    sessions = {who: Client() for who in ("ada", "rosa", "rita", "alice", "a guest", HALFWAY, "a stranger")}
    for who in ("ada", "rosa", "rita", "alice"):
        sessions[who].force_login(shown.people.everyone()[who])
        just_confirmed(sessions[who])
    sessions["a guest"].post(shown.addresses["join"][0])
    sessions[HALFWAY].post("/account/login/", {"login": "rosa", "password": PASSWORD})
    return sessions


def just_confirmed(session: Client) -> None:
    """As somebody who typed the password once more, for as long as looking at everything takes."""
    kept, typed = session.session, {"method": "password", "at": time.time() + 3_600, "reauthenticated": True}
    kept["account_authentication_methods"] = [typed]
    kept["account_authentication_methods_user"] = kept["_auth_user_id"]
    kept.save()


class Visit:
    """Looks at pages, one after another, and keeps what is wrong with them."""

    def __init__(self, page: Page, server: str, *, language: str) -> None:
        self.page, self.server, self.language = page, server, language
        self.at, self.faults = "", list[str]()
        page.on("pageerror", lambda error: self.fault(f"a script threw: {error}"))
        page.on("console", self.logged)

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.at}: {what}")

    def logged(self, message: ConsoleMessage) -> None:
        is_own_status = message.text.startswith("Failed to load") and message.location["url"] == self.page.url
        if message.type == "error" and not is_own_status:
            self.fault(f"logged: {message.text}")

    def look(self, who: str, session: Client, address: str) -> None:
        self.open(who, session, address)
        self.check()

    def send(self, refused: Refused, session: Client) -> None:
        """Look at what comes back in the place of a form that was refused."""
        self.open(refused.who, session, refused.address)
        self.at = f"{refused.who} refused at {refused.to} ({self.language})"
        with self.page.expect_navigation() as coming:
            self.page.evaluate(SEND, [refused.to, refused.sent])
        if coming.value is None or coming.value.status != INVALID:
            self.fault(f"came back with {coming.value and coming.value.status}, not with {INVALID}")
        if not self.page.query_selector("[aria-invalid=true], [role=alert], .field__error, .errorlist"):
            self.fault("does not say what was refused")
        self.check()

    def open(self, who: str, session: Client, address: str) -> None:
        self.at = f"{who} at {address} ({self.language})"
        cookies = {name: morsel.value for name, morsel in session.cookies.items()} | {"django_language": self.language}
        self.page.context.clear_cookies()
        self.page.context.add_cookies([{"name": k, "value": v, "url": self.server} for k, v in cookies.items()])
        self.page.set_viewport_size(DESK)
        self.page.emulate_media(color_scheme="light")
        self.page.goto(address)

    def check(self) -> None:
        self.page.evaluate(OPEN_ALL)
        self.page.evaluate(AXE_SCRIPT)
        self.ask_axe("light", ALL_RULES)
        self.page.set_viewport_size(PHONE)
        self.page.emulate_media(color_scheme="dark")
        if wider := self.page.evaluate(OVERFLOW):
            self.fault(f"is {wider} px wider than a phone")
        self.ask_axe("dark", SOME_RULES)
        if self.language != "en":
            self.find_english()

    def find_english(self) -> None:
        """Two words of it in a row, or one that has a translation and stands alone."""
        for text in self.page.evaluate(TEXTS):
            rest = KEPT.sub("", text).strip()
            with translation.override(self.language):
                if ENGLISH.search(rest) or gettext(rest) != rest:
                    self.fault(f"says in English: {text.strip()}")

    def ask_axe(self, theme: str, options: object) -> None:
        for violation in self.page.evaluate("options => axe.run(options)", options)["violations"]:
            places = [node["target"][0] for node in violation["nodes"]]
            self.fault(f"{violation['id']} ({theme}) at {places[:3]}")


def look_at_pages(browser: Browser, live_server: LiveServer, language: str, *, by_everyone: bool) -> None:
    with translation.override(language):  # the reasons for bad lines are kept in the language of who brought them
        shown = build_everything()
    sessions = signed_in(shown)
    context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
    visit = Visit(context.new_page(), live_server.url, language=language)
    for who, address in pages(shown, sessions, by_everyone=by_everyone):
        visit.look(who, sessions[who], address)
    for who, address in REFUSED:
        visit.look(who, sessions[who], address)
    context.close()
    wait_until_served()
    if visit.faults:
        pytest.fail("\n".join(visit.faults), pytrace=False)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", pytest.param("zh-hans", marks=pytest.mark.long)])
def test_a_page_whose_form_was_refused_says_so_and_is_without_fault(
    transactional_db: None, browser: Browser, live_server: LiveServer, language: str
) -> None:
    with translation.override(language):
        shown = build_everything()
    sessions = signed_in(shown)
    context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
    visit = Visit(context.new_page(), live_server.url, language=language)
    for refused in shown.refused:
        visit.send(refused, sessions[refused.who])
    context.close()
    wait_until_served()
    if visit.faults:
        pytest.fail("\n".join(visit.faults), pytrace=False)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", pytest.param("zh-hans", marks=pytest.mark.long)])
def test_every_page_is_without_fault(
    transactional_db: None, browser: Browser, live_server: LiveServer, language: str
) -> None:
    look_at_pages(browser, live_server, language, by_everyone=False)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_is_without_fault_for_each_of_its_roles(
    transactional_db: None, browser: Browser, live_server: LiveServer, language: str
) -> None:
    look_at_pages(browser, live_server, language, by_everyone=True)
