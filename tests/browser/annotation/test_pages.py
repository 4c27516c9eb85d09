"""Every annotation page in a real browser: nothing overflows on a phone, nothing is logged as an error, both themes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation import appeals
from annotation.assignment import skip
from annotation.models import Assignment, ItemKind, SkipReason, Terms
from tests.browser.annotation.conftest import SignIn
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

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


def done_pieces(world: World, text: str = LONG) -> list[str]:
    """Pages about work of Alice's that is submitted, skipped or rejected."""
    Terms.objects.create(project=world.project, version=1, text=text)
    for number in range(3):
        make_prompt(world.project, f"{text} {number}?")
    answered, rejected, skipped = (taken_anew(world) for _piece in range(3))
    answer(answered, text)
    record = answer(rejected, text)
    type(record).objects.filter(pk=record.pk).update(review="rejected")
    appeals.appeal(rejected, text=text)
    skip(skipped, reason=SkipReason.NOT_MY_FIELD)
    make_ranking_item(world.project, texts=(text, "short"))
    ranked = taken(world.project, world.alice, ItemKind.RANKING)
    rank(ranked, [list(ranked.shown)])
    return [
        f"/assignments/{answered.pk}/", f"/assignments/{answered.pk}/edit/", f"/assignments/{rejected.pk}/appeal/",
        f"/assignments/{skipped.pk}/", f"/assignments/{ranked.pk}/improve/",
    ]  # fmt: skip


def taken_anew(world: World) -> Assignment:
    """A piece beside those that Alice holds already: hers are put aside for the moment."""
    held = Assignment.objects.filter(annotator=world.alice, state="leased")
    ids = list(held.values_list("pk", flat=True))
    held.update(annotator=world.bob)
    piece = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    Assignment.objects.filter(pk__in=ids).update(annotator=world.alice)
    return piece


def look(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate(OVERFLOW) == 0, f"{path} is wider than the screen"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_no_page_is_wider_than_a_phone(world: World, sign_in: SignIn, language: str) -> None:
    page = sign_in(world.alice, width=390, language=language)
    paths = ("/", PROJECT, f"{PROJECT}work/", "/account/tokens/", "/account/password/change/", *pieces(world))
    for path in (*paths, *done_pieces(world), f"{PROJECT}mine/", f"{PROJECT}terms/"):
        look(page, path)
    page = sign_in(world.ada, width=390, language=language, dark=True)
    others = [f"{PROJECT}{page}/" for page in ("appeals", "export", "import", "held", "members")]
    for path in ("/", PROJECT, *others):
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
