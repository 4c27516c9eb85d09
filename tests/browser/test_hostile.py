"""Texts that would run, load, restyle or lead astray, in every place that people, models and files can write to: each
page shows them as the letters that they are. What the content policy had to stop counts as a fault too.
"""

from __future__ import annotations

import pytest
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast, Concat, Left
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request
from pytest_django.live_server_helper import LiveServer

from annotation.models import ApiToken, Generator, Guidelines, Invitation, Project, Review, Upload
from tests.browser import everything
from tests.browser.conftest import wait_until_served
from tests.browser.test_every_page import pages, signed_in
from training.models import Policy, RewardModel, Round, TrainingRun

CORPUS = [
    "<script>window.ran = 1</script>",
    '<img src=x onerror="window.ran = 1">',
    "<svg/onload=window.ran=1><animate onbegin=window.ran=1>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "</textarea></title></script><script>window.ran = 1</script>",
    '"><input autofocus onfocus=window.ran=1 x="',
    "'-window.ran=1-' `${window.ran = 1}` {{ 7|add:7 }} {% debug %}",
    "[click](javascript:window.ran=1) [and](data:text/html,<script>1</script>) <javascript:window.ran=1>",
    "![seen](https://elsewhere.invalid/seen.png) <link rel=stylesheet href=https://elsewhere.invalid/x.css>",
    "<base href=https://elsewhere.invalid/><meta http-equiv=refresh content='0;url=https://elsewhere.invalid/'>",
    "<style>* { display: none }</style> <p style='position: fixed; inset: 0'>over all</p>",
    "<form action=https://elsewhere.invalid/><button formaction=https://elsewhere.invalid/>send</button></form>",
    "<div hx-get=https://elsewhere.invalid/ hx-trigger=load hx-on:load=window.ran=1>x</div>",
    "$\\href{javascript:window.ran=1}{x}$ $$\\text{</math><script>window.ran = 1</script>}$$",
    "`</code><script>window.ran = 1</script>`\n\n```html\n</pre><script>window.ran = 1</script>\n```",
    "\u202egnp.exe \u2066\u2067 zero\u200bwidth\ufeff \u0337\u0321\u0489" + "e" + "\u0301" * 40,
    '=HYPERLINK("https://elsewhere.invalid") @SUM(1) ../../../etc/passwd ..\\..\\x %2e%2e%2f \\N \x7f',
]
SHORT = "\"'><img src=x onerror=window.ran=1><script>window.ran=1</script>{{ 7|add:7 }}\u202e"
NAMES = {
    Project: ["name"],
    ApiToken: ["name"],
    Invitation: ["name"],
    Upload: ["name", "failure"],
    Generator: ["name"],
    Review: ["reason"],
    Policy: ["name", "source"],
    RewardModel: ["name", "source"],
    Round: ["error"],
    TrainingRun: ["error", "code_version"],
}
# Whatever could run, load or lead away, and is none of the page's own.
LIVE = """() => [...document.querySelectorAll("*")].flatMap((each) => {
  const found = each.getAttributeNames().filter((name) => name.startsWith("on") || name === "srcdoc");
  if (["IFRAME", "BASE", "OBJECT", "EMBED"].includes(each.tagName)) found.push(each.tagName);
  if (each.matches("meta[http-equiv=refresh]")) found.push("refresh");
  for (const name of ["href", "src", "action", "formaction", "hx-get", "hx-post"]) {
    const to = each.getAttribute(name) ?? "";
    if (each.matches("form > p > img.qr") && to.startsWith("data:image/svg+xml;base64,")) continue;  // ours, to scan
    const isLink = each.tagName === "A" && /\\bnoreferrer\\b/.test(each.rel) && /^https:/.test(to);
    if (/^\\s*(javascript|data|vbscript):|elsewhere\\.invalid/i.test(to) && !isLink) found.push(`${name} to ${to}`);
  }
  return found.map((what) => `${each.tagName} with ${what}`);
})"""


class Watch:
    """What goes wrong on a page, and where."""

    def __init__(self, page: Page, server: str) -> None:
        self.server, self.at, self.faults = server, "", list[str]()
        page.on("pageerror", lambda error: self.fault(f"a script threw: {error}"))
        page.on("console", self.logged)
        page.on("dialog", self.asked)
        page.on("request", self.requested)

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.at}: {what}")

    def logged(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.fault(f"logged: {message.text}")

    def asked(self, dialog: Dialog) -> None:
        self.fault(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def requested(self, request: Request) -> None:
        if not request.url.startswith((self.server, "data:")):
            self.fault(f"asked {request.url}")


def make_hostile() -> None:
    """Every name and reason that was written already; its number keeps those apart that have to be."""
    for model, names in NAMES.items():
        for name in names:
            room = model._meta.get_field(name).max_length or 1_000
            text = Left(Concat(Cast(F("pk"), TextField()), Value(SHORT), output_field=TextField()), room)
            model._default_manager.update(**{name: text})


@pytest.mark.timeout(900)
def test_hostile_texts_are_only_text_on_every_page(
    transactional_db: None, browser: Browser, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "\n\n".join(CORPUS)
    lines = [{"prompt": hostile, "chosen": f"{hostile}!", "rejected": SHORT}, {hostile: SHORT}, {"riddle": hostile}]
    monkeypatch.setattr(everything, "LONG", hostile)
    monkeypatch.setattr(everything, "LINES", lines)
    shown = everything.build_everything()
    make_hostile()
    assert Guidelines.objects.filter(text__contains="<script>").exists()
    sessions = signed_in(shown)
    context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
    page = context.new_page()
    watch, seen = Watch(page, live_server.url), 0
    for who, address in pages(shown, sessions, by_everyone=False):
        watch.at = f"{who} at {address}"
        context.clear_cookies()
        context.add_cookies(
            [{"name": k, "value": v.value, "url": live_server.url} for k, v in sessions[who].cookies.items()]
        )
        page.goto(address)
        for what in page.evaluate(LIVE):
            watch.fault(what)
        if page.evaluate("window.ran"):
            watch.fault("a text ran")
        seen += "elsewhere.invalid" in page.inner_text("body")
    context.close()
    wait_until_served()
    if watch.faults:
        pytest.fail("\n".join(watch.faults), pytrace=False)
    assert seen > 10, "the texts are not on the pages that were looked at"
