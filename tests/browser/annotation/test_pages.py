"""What every page has: its theme, its language, its skip link, its switch to plain text."""

from __future__ import annotations

from playwright.sync_api import expect

from annotation.models import ItemKind
from tests.browser.annotation.conftest import SignIn
from tests.world import World, make_prompt, make_ranking_item, taken

PROJECT = "/projects/capitals/"


def pieces(world: World) -> list[str]:
    type(world.project).objects.update(instructions_wanted=9, demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    make_ranking_item(world.project, prompt=make_prompt(world.project, "Another?"))
    return [f"/assignments/{taken(world.project, world.alice, kind).pk}/" for kind in ItemKind]


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
