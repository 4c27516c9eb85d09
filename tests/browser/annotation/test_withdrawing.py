"""Taking work back and erasing a person, by keyboard."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from annotation.models import Ranking
from tests.browser.annotation.conftest import SignIn
from tests.world import World, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"


def test_a_piece_is_taken_back_by_keyboard(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    page = sign_in(world.alice)
    page.goto(f"{PROJECT}mine/")
    press(page, "Take back")
    expect(page.get_by_role("heading", name="Take this piece back?")).to_be_visible()
    press(page, "Take it back")
    expect(page.get_by_text("Taken back. It is removed.")).to_be_visible()
    assert not Ranking.objects.filter(annotator=world.alice).exists()


def test_a_person_is_erased_after_their_name_is_typed(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.ada)
    page.goto(f"{PROJECT}members/")
    page.get_by_role("link", name="alice").click()
    page.get_by_role("link", name="Erase alice").click()
    page.get_by_label("Their user name, once more").fill("bob")
    press(page, "Erase for good")
    expect(page.get_by_text("This is not the name of the person on this page.")).to_be_visible()
    sign_in.complaints.clear()  # type: ignore[attr-defined] # the browser logs the 422, which is what was asked of it
    page.get_by_label("Their user name, once more").fill("alice")
    press(page, "Erase for good")
    expect(page.get_by_text("Nothing of this person is left in the project.")).to_be_visible()
    expect(page.get_by_role("link", name="alice")).to_have_count(0)


def press(page: Page, name: str) -> None:
    """A button or link of that name, by keyboard."""
    page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("link", name=name, exact=True)).first.focus()
    page.keyboard.press("Enter")
