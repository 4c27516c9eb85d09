"""The ranking page in a real browser: the same ranking whichever way it is made, and nothing in the reader's way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Completion, Item, ItemKind, Membership, Ranking
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_work import groups_as_texts, shown_texts, start
from tests.world import World, make_prompt, make_ranking_item

WANTED = {"one": 2, "two": 1, "three": 2, "four": 3}
GROUPS = [{"two"}, {"one", "three"}, {"four"}]
LOST = "document.activeElement === document.body"

Place = Callable[[Page, str, int], None]


def by_keyboard(page: Page, letter: str, rank: int) -> None:
    page.keyboard.press(letter)
    page.keyboard.press(str(rank))
    assert not page.evaluate(LOST)


def centre(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def by_mouse(page: Page, letter: str, rank: int) -> None:
    page.mouse.move(*centre(page, f'.chip[data-key="{letter}"]'))
    page.mouse.down()
    page.mouse.move(*centre(page, f'.rank-column[data-rank="{rank}"]'), steps=4)
    page.mouse.up()


def by_touch(page: Page, letter: str, rank: int) -> None:
    fingers = page.context.new_cdp_session(page)
    x, y = centre(page, f'.chip[data-key="{letter}"]')
    to_x, to_y = centre(page, f'.rank-column[data-rank="{rank}"]')
    touch(fingers, "touchStart", x, y)
    for step in range(1, 5):
        touch(fingers, "touchMove", x + (to_x - x) * step / 4, y + (to_y - y) * step / 4)
    touch(fingers, "touchEnd")
    fingers.detach()


def touch(fingers: Any, kind: str, *place: float) -> None:
    points = [{"x": place[0], "y": place[1]}] if place else []
    fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def by_tap(page: Page, letter: str, rank: int) -> None:
    page.locator(f'.chip[data-key="{letter}"]').tap()
    page.locator(f'.rank-column[data-rank="{rank}"] .rank-column__name').tap()


@pytest.mark.parametrize(
    ("place", "width"),
    [(by_keyboard, 1280), (by_mouse, 1280), (by_touch, 390), (by_tap, 390)],
    ids=["keyboard", "mouse", "touch", "tap"],
)
def test_a_ranking_of_four_with_a_tie_is_the_same_whichever_way_it_is_made(
    world: World, sign_in: SignIn, place: Place, width: int
) -> None:
    make_ranking_item(world.project, texts=tuple(WANTED))
    page = sign_in(world.alice, width=width)
    start(page, ItemKind.RANKING)
    letters = dict(zip(shown_texts(page), "abcd", strict=True))
    for text, rank in WANTED.items():
        place(page, letters[text], rank)
    order = " > ".join(
        " = ".join(sorted(letters[text].upper() for text in group)) for group in (["two"], ["one", "three"], ["four"])
    )
    expect(page.locator("[data-order]")).to_have_text(order)
    if place is by_keyboard:
        page.keyboard.press("Control+Enter")
    else:
        page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    ranking = Ranking.objects.get()
    assert groups_as_texts(ranking) == GROUPS
    assert ranking.ranks() == {pk: WANTED[text] for pk, text in Completion.objects.values_list("pk", "text")}


def test_the_tie_key_joins_the_one_above_and_says_when_there_is_none(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    live = page.locator("#live")
    for key, said in (
        ("=", "Output A: nothing stands above it to tie with."),
        ("1", "Output A: rank 1."),
        ("=", "Output A: nothing stands above it to tie with."),
        ("b", None), ("3", "Output B: rank 3."),
        ("=", "Output B: rank 1, tied with A."),
        ("c", None), ("=", "Output C: rank 1, tied with A, B."),
        ("0", "Output C: no rank."),
        ("Shift+Digit3", "Output C: quality 3 of 7."),
        ("Shift+Digit3", "Output C: quality not rated."),
        ("b", None), ("l", "Acceptable: rank 1."), ("l", "Acceptable: not said."),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert not page.evaluate(LOST) or key in "1="
        if said:
            expect(live).to_have_text(said)


def test_a_screen_reader_finds_the_outputs_their_ranks_and_their_state(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.keyboard.press("2")
    first, second = shown_texts(page)
    expect(page.locator(".outputs")).to_match_aria_snapshot(f"""
      - article "Output A":
        - heading "A" [level=2]
        - group "Rank of output A, 1 is best":
          - radio "1"
          - radio "2" [checked]
        - paragraph: {first}
        - group "Overall quality of output A, 1 very poor, 7 excellent":
          - radio "1"
      - article "Output B":
        - heading "B" [level=2]
        - group "Rank of output B, 1 is best":
          - radio "1"
          - radio "2"
        - paragraph: {second}
    """)


def test_keys_are_shown_chosen_and_turned_off_and_stay_so(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.keyboard.press("b")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Ranking by keyboard")
    expect(dialog).to_be_visible()
    dialog.get_by_label("the next output").focus()
    page.keyboard.press("b")
    expect(dialog.get_by_text("letters go to outputs")).to_be_visible()
    page.keyboard.press("j")
    expect(dialog.get_by_label("the next output")).to_have_value("J")
    page.keyboard.press("Escape")
    expect(page.locator("#output-b")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#output-c")).to_be_focused()

    elsewhere = sign_in(world.alice)
    elsewhere.goto(page.url)
    expect(elsewhere.locator(".chip").first).to_be_visible()
    elsewhere.keyboard.press("j")
    expect(elsewhere.locator("#output-b")).to_be_focused()
    elsewhere.keyboard.press("?")
    elsewhere.get_by_label("Single-key shortcuts are on").uncheck()
    expect(elsewhere.locator("[data-problem]")).to_have_text("Kept for you.")
    elsewhere.get_by_role("button", name="Close").click()
    elsewhere.reload()
    expect(elsewhere.locator(".chip").first).to_be_visible()
    for key in ("1", "?"):
        elsewhere.keyboard.press(key)
    expect(elsewhere.get_by_role("dialog")).to_be_hidden()
    expect(elsewhere.locator("[data-order]")).to_be_empty()
    elsewhere.get_by_role("button", name="Keys").click()
    expect(elsewhere.get_by_role("dialog")).to_be_visible()


def test_flags_quality_the_line_and_the_note_are_kept_as_they_were_given(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two", "three"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    for key in ("1", "b", "3", "c", "3", "a", "l", "Shift+Digit7", "x"):
        page.keyboard.press(key)
    expect(page.get_by_role("radio", name="Yes").first).to_be_focused()
    for name, answer in (("Hallucination", "Not applicable"), ("Sexual content", "No"), ("Expresses opinion", "Yes")):
        page.locator("#output-a").get_by_role("group", name=name).get_by_label(answer, exact=True).check()
    page.locator("#output-a").get_by_role("group", name="Sexual content").get_by_label("Unanswered").check()
    expect(page.locator("#output-a [data-flag-count]")).to_have_text("1 yes · 2 of 11 answered")
    page.locator("#output-c").get_by_text("Flags").click()
    page.locator("#output-c").get_by_role("button", name="The rest: no").click()
    page.keyboard.press("n")
    page.keyboard.type("so = so?")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    ranking = Ranking.objects.get()
    a, b, c = ranking.shown
    assert (ranking.groups, ranking.acceptable) == ([[a], sorted([b, c])], 1)
    assert ranking.flags.pop(str(a)) == {"hallucination": "na", "opinion": "yes"}
    assert set(ranking.flags[str(c)].values()) == {"no"}
    assert len(ranking.flags[str(c)]) == 11
    assert (ranking.ratings, ranking.note) == ({str(a): 7}, "so = so?")


def test_a_missing_rank_is_pointed_out_before_anything_is_sent(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    for key in ("1", "c", "2", "Control+Enter"):
        page.keyboard.press(key)
    expect(page.locator("#live")).to_have_text("Not submitted yet. No rank: B, D.")
    expect(page.locator("#output-b")).to_be_focused()
    for key in ("=", "d", "3", "Control+Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_the_arrows_go_between_outputs_after_a_click_on_a_rank(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    point = page.locator("#output-b .scale__point").nth(1)
    point.click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#output-c")).to_be_focused()
    expect(page.locator("[data-order]")).to_have_text("B")
    point.click()
    expect(page.locator("[data-order]")).to_be_empty()


def test_differences_are_shown_on_demand_word_by_word(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("The red house by the sea.", "The blue house by the sea."))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.keyboard.press("v")
    dialog = page.get_by_role("dialog", name="Differences")
    first = "red" if "red" in shown_texts(page)[0] else "blue"
    expect(dialog.locator("del")).to_have_text([first])
    expect(dialog.locator("ins")).to_have_text(["blue" if first == "red" else "red"])
    dialog.get_by_label("Second output").select_option("a")
    expect(dialog.get_by_text("The two texts are the same.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_texts_of_every_script_and_formulas_are_shown_as_they_are_meant(world: World, sign_in: SignIn) -> None:
    texts = ("عاصمة فرنسا هي باريس.", "法国的首都是巴黎。" * 40, "So $\\frac{1}{2}$ of it costs $5.")
    make_ranking_item(world.project, texts=texts)
    page = sign_in(world.alice, width=390)
    start(page, ItemKind.RANKING)
    sides = {text[:2]: page.locator(f".output:has-text('{text[:4]}') .as-markdown") for text in texts}
    assert sides[texts[0][:2]].evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert sides[texts[1][:2]].evaluate("each => getComputedStyle(each).direction") == "ltr"
    assert sides[texts[1][:2]].evaluate("each => each.scrollWidth <= each.clientWidth")
    expect(sides[texts[2][:2]].locator("math mfrac")).to_be_visible()
    expect(sides[texts[2][:2]]).to_contain_text("costs $5.")


def test_what_may_be_harmful_comes_after_consent_and_is_blurred_until_opened(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, prompt=make_prompt(world.project, "Vile?", harmful=True))
    page = sign_in(world.alice)
    page.goto("/projects/capitals/work/")
    page.get_by_role("button", name="Start working").click()
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    page.get_by_role("button", name="I agree to see them").click()
    assert Membership.objects.get(user=world.alice).sees_harmful
    start(page, ItemKind.RANKING)
    text = page.locator(".output .text").first
    assert text.evaluate("each => getComputedStyle(each).filter") != "none"
    assert text.evaluate("each => each.inert")
    page.get_by_label("Show them").check()
    assert text.evaluate("each => getComputedStyle(each).filter") == "none"
    assert not text.evaluate("each => each.inert")


def test_an_admin_sees_why_an_output_is_held_and_allows_it(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two", "Hello. I am ChatGPT, and it is Paris."))
    page = sign_in(world.ada)
    page.goto("/projects/capitals/")
    page.get_by_role("link", name="Held outputs").click()
    expect(page.locator("mark")).to_have_text("I am ChatGPT")
    page.get_by_role("button", name="Allow the output with “I am ChatGPT”").click()
    expect(page.get_by_text("Nothing is held")).to_be_visible()
    assert len(Item.objects.get().completions) == 3


WATCH = """new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longest = Math.max(window.longest ?? 0, entry.duration);
}).observe({ type: "longtask" })"""


class Effort:
    """How long the page's longest task takes while something is done.

    The lesser of two measures, in ms: the longest task by the clock, and all that the page's thread did in its own
    time. On a quiet machine that is the first; on a busy one, waiting for a processor does not count.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(WATCH)

    def of(self, act: Callable[[], None]) -> float:
        before = self.worked()
        self.page.evaluate("window.longest = 0")
        act()
        self.page.wait_for_timeout(300)
        by_the_clock: float = self.page.evaluate("window.longest")
        return min(by_the_clock, self.worked() - before)

    def worked(self) -> float:
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return 1000 * sum(each["value"] for each in metrics if each["name"] == "TaskDuration")


@pytest.mark.long
def test_nine_long_outputs_stay_smooth_while_they_are_ranked(world: World, sign_in: SignIn) -> None:
    """No task over 100 ms: by key, by mouse, with flags open, between Markdown and plain text, and while scrolling."""
    sentence = "The river rises in the *hills* of the east and runs, `slowly`, past old towns to the sea; $x^2$ of it. "
    long = "\n\n".join(sentence * 6 for _ in range(13))
    assert len(long.split()) >= 1_500
    make_ranking_item(world.project, texts=tuple(f"{word} {long}" for word in "pqrstuvwx"))
    page = sign_in(world.alice)
    page.set_default_timeout(60_000)
    start(page, ItemKind.RANKING)
    page.wait_for_timeout(2_000)
    effort = Effort(page)
    keys = ["a", "1", "Shift+Digit4", "b", "2", "=", "l", "x", "p", "p", "ArrowLeft", "ArrowRight", "i", "9", "e", "3"]
    found = {f"{at} {key}": effort.of(partial(page.keyboard.press, key)) for at, key in enumerate(keys)}
    chip, column = centre(page, '.chip[data-key="c"]'), centre(page, '.rank-column[data-rank="4"]')
    found["reach"] = effort.of(partial(page.mouse.move, *chip))
    found["press"] = effort.of(page.mouse.down)
    found["drag"] = effort.of(partial(page.mouse.move, *column, steps=3))
    found["drop"] = effort.of(page.mouse.up)
    found["scroll"] = effort.of(partial(page.mouse.wheel, 0, 3_000))
    expect(page.locator("[data-order]")).to_have_text("A = B > E > C > I")
    assert {name: round(took) for name, took in found.items() if took > 100} == {}
