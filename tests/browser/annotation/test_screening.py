"""The pages of screening, withdrawal and erasure on a phone, in both themes and languages, and by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation import screening
from annotation.models import Item, Membership, Purpose, Ranking
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_accessibility import faults
from tests.browser.annotation.test_pages import LONG, look
from tests.world import World, make_person, make_prompt, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"


@pytest.fixture
def pages(world: World) -> dict[str, list[str]]:
    """Addresses by who opens them: a set answered, one not, one to choose; somebody under way, somebody who left."""
    items = [make_ranking_item(world.project, prompt=make_prompt(world.project, f"{LONG} {n}")) for n in range(4)]
    screening.choose(world.project, [each.pk for each in items[:2]], purpose=Purpose.QUALIFICATION, by=world.ada)
    answered = Item.objects.get(pk=items[0].pk)
    rank(screening.answer(answered, world.ada))
    type(world.project).objects.update(qualification_pieces=2)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice)
    rank(piece)
    gone = make_person("somebody-with-a-rather-long-name-who-left", world.project, "annotator")
    rank(taken(world.project, gone))
    Membership.objects.filter(user=gone).delete()
    return {
        "alice": [
            f"/assignments/{piece.pk}/withdraw/",
            *(f"{PROJECT}{page}/" for page in ("work", "mine", "mine/leave")),
        ],
        "ada": [*(f"{PROJECT}{page}/" for page in ("screening", "members", f"members/{world.alice.pk}/erase"))],
    }


@pytest.mark.parametrize(("dark", "language"), [(False, "en"), (True, "zh-hans")])
def test_the_pages_fit_a_phone_and_axe_finds_no_fault(
    world: World, sign_in: SignIn, pages: dict[str, list[str]], *, dark: bool, language: str
) -> None:
    found: list[str] = []
    for name, paths in pages.items():
        page = sign_in(world.everyone()[name], width=390, dark=dark, language=language)
        for path in paths:
            look(page, path)
            found += faults(page, path)
    assert found == []


def test_a_piece_is_taken_back_by_keyboard(world: World, sign_in: SignIn, pages: dict[str, list[str]]) -> None:
    page = sign_in(world.alice)
    page.goto(f"{PROJECT}mine/")
    press(page, "Take back")
    expect(page.get_by_role("heading", name="Take this piece back?")).to_be_visible()
    press(page, "Take it back")
    expect(page.get_by_text("Taken back. It is removed.")).to_be_visible()
    assert not Ranking.objects.filter(annotator=world.alice).exists()


def test_a_person_is_erased_after_their_name_is_typed(
    world: World, sign_in: SignIn, pages: dict[str, list[str]]
) -> None:
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
