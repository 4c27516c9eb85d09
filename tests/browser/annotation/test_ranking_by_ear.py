"""A ranking made with a keyboard and a screen reader alone: what has focus, what is said, what the tree holds."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation.models import ItemKind, Ranking
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_work import groups_as_texts, shown_texts, start
from tests.world import World, make_ranking_item

# What has focus can be seen: something of it, or of its label, is on top where it stands.
FOCUS_IS_SEEN = """() => {
  const focused = document.activeElement;
  const shown = focused.matches("input[type=radio]") ? focused.closest("label") : focused;
  const { left, right, top, bottom } = shown.getBoundingClientRect();
  const parts = [0.05, 0.5, 0.95].flatMap((x) => [0.05, 0.5, 0.95].map((y) => [x, y]));
  const at = ([x, y]) => document.elementFromPoint(left + x * (right - left), top + y * (bottom - top));
  return parts.some((part) => shown.contains(at(part)));
}"""
FOCUSED = "document.activeElement.name || document.activeElement.textContent.trim() || document.activeElement.tagName"


def tab_to(page: Page, selector: str, *, most: int = 80) -> None:
    """Press Tab until it has focus; on the way nothing that has focus is hidden behind the bar."""
    for _press in range(most):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_SEEN), f"focus is on {page.evaluate(FOCUSED)!r}, which nobody can see"
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{most} presses of Tab have not led to {selector}")


def test_tab_arrows_and_space_are_enough_where_the_single_keys_are_off(world: World, sign_in: SignIn) -> None:
    world.alice.shortcuts = {"on": False, "keys": {}}
    world.alice.save()
    make_ranking_item(world.project, texts=("one", "two", "three", "four"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    texts = shown_texts(page)
    live = page.locator("#live")
    for letter, rank, said in (
        ("a", 2, "Output A: rank 2."),
        ("b", 1, "Output B: rank 1."),
        ("c", 2, "Output C: rank 2, tied with A."),
        ("d", 3, "Output D: rank 3."),
    ):
        tab_to(page, f"[name=rank_{letter}]")
        page.keyboard.press("Space")
        for _step in range(rank - 1):
            page.keyboard.press("ArrowRight")
        expect(live).to_have_text(said)
    tab_to(page, "#work .button--primary")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    assert groups_as_texts(Ranking.objects.get()) == [{texts[1]}, {texts[0], texts[2]}, {texts[3]}]


def test_the_tree_holds_the_work_in_the_order_in_which_it_is_done(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    for key in ("a", "1", "b", "="):
        page.keyboard.press(key)
    first, second = shown_texts(page)
    expect(page.locator("body")).to_match_aria_snapshot(f"""
      - link "Skip to the content"
      - banner
      - main:
        - navigation "Where you are"
        - heading "Rank outputs" [level=1]
        - checkbox "Plain text"
        - button "Differences"
        - region "Instruction open question":
          - heading "Instruction open question" [level=2]
          - list:
            - listitem:
              - paragraph: What is the capital of France?
        - complementary "Guidelines"
        - article "Output A":
          - heading "A" [level=2]
          - group "Rank of output A, 1 is best":
            - radio "1" [checked]
          - paragraph: {first}
          - group "Overall quality of output A, 1 very poor, 7 excellent":
            - radio "7"
          - group: Flags
        - article "Output B":
          - heading "B" [level=2]
          - group "Rank of output B, 1 is best":
            - radio "1" [checked]
          - paragraph: {second}
        - textbox "Note"
        - group "The order so far":
          - text: Not ranked 1 · best
          - button "Output A"
          - button "Output B"
        - button "Submit"
        - combobox "Acceptable":
          - option "not said" [selected]
        - button "Keys ?"
        - status: A = B
      - contentinfo
      - status: "Output B: rank 1, tied with A."
    """)


def test_flags_say_whose_answer_they_are_and_what_was_answered(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.keyboard.press("x")
    page.keyboard.press("Space")
    expect(page.locator("#output-a .flags")).to_match_aria_snapshot("""
      - group:
        - text: /Flags 1 yes · 1 of \\d+ answered/
        - group "Fails to follow the instruction":
          - radio "Yes" [checked]
          - radio "No"
          - radio "Not applicable"
          - radio "Unanswered"
    """)


def test_an_error_of_the_server_is_said_and_leads_to_the_output(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    page = sign_in(world.alice, js=False)
    page.goto("/projects/capitals/work/")
    page.get_by_role("button", name="Start working").click()
    page.locator("#output-a").get_by_role("radio", name="1").first.check(force=True)
    page.get_by_role("button", name="Submit").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Not submitted yet.")
    alert.get_by_role("link").press("Enter")
    assert page.url.endswith("#output-b")
    sign_in.complaints.clear()  # type: ignore[attr-defined] # the browser logs the 422, which is what was asked for
    expect(page.locator("#output-b .scale").first).to_have_attribute("aria-invalid", "true")
