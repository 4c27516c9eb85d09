"""Quality, review and the audit log in a real browser: by keyboard, by mouse, and without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.models import Prompt, ReviewState
from tests.browser.annotation.conftest import SignIn
from tests.world import World, make_prompt

PROJECT = "/projects/capitals/"


@pytest.mark.parametrize("js", [True, False])
def test_work_is_rejected_and_taken_back_by_keyboard(world: World, sign_in: SignIn, *, js: bool) -> None:
    prompts = [make_prompt(world.project, f"Question {number}?", author=world.alice) for number in range(4)]
    page = sign_in(world.rita, js=js)
    page.goto(f"{PROJECT}review/?kind=prompt")
    page.get_by_role("checkbox", name="Question 3?").focus()
    if js:
        page.keyboard.press("Shift+ArrowDown")
        expect(page.locator("[data-count]")).to_have_text("2 marked")
    else:
        page.keyboard.press("Space")
        page.get_by_role("checkbox", name="Question 2?").focus()
        page.keyboard.press("Space")
    page.get_by_label("Reason").focus()
    page.keyboard.type("Not questions.")
    for _button in ("Accept", "Reject"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 pieces are rejected.")).to_be_visible()
    rejected = Prompt.objects.filter(review=ReviewState.REJECTED).order_by("pk")
    assert list(rejected) == prompts[2:]
    expect(page.locator(".piece__reason", has_text="Not questions.")).to_have_count(2)
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.get_by_text("2 pieces stand as they did before.")).to_be_visible()
    assert not rejected.all().exists()


def test_a_click_with_shift_marks_a_stretch_and_one_box_marks_the_page(world: World, sign_in: SignIn) -> None:
    for number in range(5):
        make_prompt(world.project, f"Question {number}?", author=world.alice)
    page = sign_in(world.rita)
    page.goto(f"{PROJECT}review/?kind=prompt")
    count = page.locator("[data-count]")
    page.get_by_role("checkbox", name="Question 4?").click()
    page.get_by_role("checkbox", name="Question 2?").click(modifiers=["Shift"])
    expect(count).to_have_text("3 marked")
    page.get_by_label("Mark all on this page").check()
    expect(count).to_have_text("5 marked")
    page.get_by_label("Mark all on this page").uncheck()
    expect(page.get_by_role("checkbox", name="Question 4?")).not_to_be_checked()
