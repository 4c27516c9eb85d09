"""axe finds nothing on the annotation pages, in either theme and language."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from annotation.models import ItemKind, Membership
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_pages import done_pieces
from tests.world import World, make_prompt, make_ranking_item, taken

PROJECT = "/projects/capitals/"


def faults(page: Page, path: str) -> list[str]:
    page.goto(path)
    page.evaluate("for (const details of document.querySelectorAll('main details:not(.menu)')) details.open = true")
    found = Axe().run(page).response["violations"]
    return [f"{path}: {fault['id']} at {fault['nodes'][0]['target']}" for fault in found]


@pytest.mark.parametrize(("dark", "language"), [(False, "en"), (True, "zh-hans")])
def test_axe_finds_no_fault(world: World, sign_in: SignIn, *, dark: bool, language: str) -> None:
    type(world.project).objects.update(instructions_wanted=9, demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    prompt = make_prompt(world.project, "# A title\n\n- a\n- list and $x^2$", harmful=True)
    make_ranking_item(world.project, prompt=prompt, texts=("one", "two", "I am ChatGPT. Three."))
    Membership.objects.update(sees_harmful=True)
    pieces = [f"/assignments/{taken(world.project, world.alice, kind).pk}/" for kind in ItemKind]
    found: list[str] = []
    page = sign_in(world.alice, dark=dark, language=language)
    own = (f"{PROJECT}mine/", f"{PROJECT}terms/", *done_pieces(world, "# A title\n\n- a\n- list"))
    for path in ("/", PROJECT, f"{PROJECT}work/", f"{PROJECT}work/?nothing", "/account/tokens/", *pieces, *own):
        found += faults(page, path)
    page = sign_in(world.ada, dark=dark, language=language)
    others = [f"{PROJECT}{page}/" for page in ("appeals", "export", "import", "held", "members")]
    for path in (PROJECT, *others):
        found += faults(page, path)
    assert found == []
