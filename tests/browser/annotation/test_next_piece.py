"""The next piece is held and loaded while somebody is at one, and shows at once after the submit."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from annotation.models import Assignment, AssignmentState, ItemKind, Ranking
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_work import ASSIGNMENT, groups_as_texts, shown_texts, start
from tests.world import World, make_ranking_item, rank, taken

LEASED = AssignmentState.LEASED
NEXT = re.compile(r"/assignments/\d+/next/$")


def begin(page: Page, *, another: bool = True) -> None:
    """Put the first output first, and wait until the next piece is loaded, or known not to be there."""
    with page.expect_response(ASSIGNMENT if another else NEXT) as loaded:
        page.keyboard.press("a")
        page.keyboard.press("1")
    loaded.value.finished()


def put_in_order(page: Page, *, another: bool = True) -> str:
    """Rank the outputs as shown and submit; the piece's address."""
    begin(page, another=another)
    for number, letter in enumerate("bcd", start=2):
        page.keyboard.press(letter)
        page.keyboard.press(str(number))
    address = page.url
    page.keyboard.press("Control+Enter")
    expect(page).not_to_have_url(address)
    return address


def not_the_first(world: World) -> None:
    """A first piece shows the tutorial, and nothing is loaded beside it."""
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))


def test_the_next_piece_shows_without_a_page_being_loaded(world: World, sign_in: SignIn) -> None:
    not_the_first(world)
    for number in range(3):
        make_ranking_item(world.project, texts=tuple(f"{number} {word}" for word in ("one", "two", "three", "four")))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.evaluate("document.stillHere = true")
    orders = []
    for _number in range(2):
        orders.append(shown_texts(page))
        put_in_order(page)
        expect(page).to_have_url(ASSIGNMENT)
        assert page.evaluate("document.stillHere"), "the page was loaded anew"
        expect(page.locator(".toast").get_by_text("Saved.")).to_be_visible()
        expect(page.locator("#live")).to_have_text("Saved. Rank outputs")
    orders.append(shown_texts(page))
    put_in_order(page, another=False)
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    made = [groups_as_texts(ranking) for ranking in Ranking.objects.order_by("pk")[1:]]
    assert made == [[{text} for text in order] for order in orders]


def test_two_pieces_at_most_are_held_and_going_back_shows_the_one_before(world: World, sign_in: SignIn) -> None:
    not_the_first(world)
    for _number in range(4):
        make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    first = put_in_order(page)
    begin(page)
    assert Assignment.objects.filter(annotator=world.alice, state=LEASED).count() == 2
    page.go_back()
    expect(page).to_have_url(first)
    expect(page.get_by_role("button", name="Submit")).to_be_hidden()


def test_what_was_typed_into_a_piece_that_was_loaded_ahead_is_kept_as_its_own(world: World, sign_in: SignIn) -> None:
    not_the_first(world)
    for _number in range(2):
        make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    put_in_order(page)
    page.get_by_label("Note", exact=True).fill("About the second.")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Note", exact=True)).to_have_value("About the second.")
    (held,) = Assignment.objects.filter(state=LEASED)
    assert held.draft["note"] == "About the second."
