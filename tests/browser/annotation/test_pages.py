"""Every annotation page in a real browser: nothing overflows on a phone, nothing is logged as an error, both themes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation.models import ItemKind
from tests.browser.annotation.conftest import SignIn
from tests.world import World, make_prompt, make_ranking_item, taken

PROJECT = "/projects/capitals/"
LONG = (
    "Donaudampfschifffahrtsgesellschaft" * 4
    + "\n\n| a | b |\n|---|---|\n| "
    + "wide " * 40
    + "| x |\n\n```\n"
    + "code " * 60
    + "\n```"
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def pieces(world: World) -> list[str]:
    type(world.project).objects.update(instructions_wanted=9, demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project, LONG)
    make_ranking_item(
        world.project, texts=(LONG, "短い", "قصير", *"defghi"), prompt=make_prompt(world.project, LONG + "?")
    )
    return [f"/assignments/{taken(world.project, world.alice, kind).pk}/" for kind in ItemKind]


def look(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate(OVERFLOW) == 0, f"{path} is wider than the screen"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_no_page_is_wider_than_a_phone(world: World, sign_in: SignIn, language: str) -> None:
    page = sign_in(world.alice, width=390, language=language)
    for path in ("/", PROJECT, f"{PROJECT}work/", "/account/tokens/", "/account/password/change/", *pieces(world)):
        look(page, path)
    page = sign_in(world.ada, width=390, language=language, dark=True)
    for path in ("/", PROJECT, f"{PROJECT}export/", f"{PROJECT}import/", f"{PROJECT}held/", f"{PROJECT}members/"):
        look(page, path)


def test_the_theme_is_chosen_without_losing_what_was_typed_and_stays(world: World, sign_in: SignIn) -> None:
    *_others, demonstration, _ranking = pieces(world)
    page = sign_in(world.alice)
    page.goto(demonstration)
    page.get_by_label("Your answer").fill("half a sent")
    page.get_by_label("Colours").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_label("Your answer")).to_have_value("half a sent")
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_language_is_switched_in_place(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.alice)
    page.goto(PROJECT)
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    assert page.url.endswith(PROJECT)
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_plain_text_switch_shows_what_was_written(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("**bold** <b>x</b>", "other"))
    page = sign_in(world.alice)
    page.goto(f"/assignments/{taken(world.project, world.alice).pk}/")
    expect(page.get_by_text("**bold** <b>x</b>")).to_be_hidden()
    page.get_by_label("Plain text").check()
    expect(page.get_by_text("**bold** <b>x</b>")).to_be_visible()


def test_the_skip_link_leads_past_the_header(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.alice)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
