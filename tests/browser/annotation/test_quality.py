"""Quality, review and the audit log in a real browser: no fault that axe finds, no wider than a phone, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import reviewing
from annotation.models import Prompt, Ranking, ReviewState, WorkKind
from tests.annotation.quality.scene import make_study
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_accessibility import faults
from tests.browser.annotation.test_pages import LONG, look
from tests.world import World, make_prompt

PROJECT = "/projects/capitals/"
PAGES = (
    f"{PROJECT}quality/",
    f"{PROJECT}quality/?use_case=chat",
    f"{PROJECT}leaderboard/",
    f"{PROJECT}review/?kind=ranking",
    f"{PROJECT}review/?kind=prompt",
    f"{PROJECT}audit/",
)


def make_work(world: World) -> None:
    """Rankings, decisions on some of them, a long instruction by Alice, and a log of it all."""
    make_study(world, names=("sft-of-tuesday", "ppo-round-2", "external-model"))
    make_prompt(world.project, LONG, author=world.alice)
    chosen = [ranking.pk for ranking in Ranking.objects.filter(annotator=world.bob)[:3]]
    for state, reason in ((ReviewState.ACCEPTED, ""), (ReviewState.REJECTED, "Ranked as shown. " * 20)):
        reviewing.decide(
            world.project, reviewer=world.ada, kind=WorkKind.RANKING, pieces=chosen, state=state, reason=reason
        )


@pytest.mark.parametrize(("dark", "language"), [(False, "en"), (True, "zh-hans")])
def test_axe_finds_no_fault_in_them(world: World, sign_in: SignIn, *, dark: bool, language: str) -> None:
    make_work(world)
    page = sign_in(world.ada, dark=dark, language=language)
    assert [fault for path in PAGES for fault in faults(page, path)] == []


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_none_of_them_is_wider_than_a_phone(world: World, sign_in: SignIn, language: str) -> None:
    make_work(world)
    page = sign_in(world.ada, width=390, language=language)
    for path in PAGES:
        look(page, path)


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
