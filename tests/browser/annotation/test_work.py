"""The annotator's three jobs in a real browser: each submit is kept as it was made and leads to the next piece."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect

from annotation.models import Assignment, Demonstration, ItemKind, Prompt, Ranking
from tests.browser.annotation.conftest import SignIn
from tests.world import PASSWORD, World, make_prompt, make_ranking_item

ASSIGNMENT = re.compile(r"/assignments/\d+/$")

ELEMENTS_ARE_READY = """customElements.get("work-form")
    && (!document.querySelector("ranking-board") || document.querySelector(".chip"))"""


def start(page: Page, kind: ItemKind) -> None:
    """Begin the day with this kind of work alone, or go on with it."""
    page.goto("/projects/capitals/work/")
    named = page.locator(f"button[name=kind][value={kind}]")
    (named if named.count() else page.get_by_role("button", name="Start working")).click()
    expect(page).to_have_url(ASSIGNMENT)
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    wait_until_ready(page)


def wait_until_ready(page: Page) -> None:
    """Playwright's own wait polls by eval, which the pages' Content-Security-Policy forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(ELEMENTS_ARE_READY):
        assert time.monotonic() < deadline, "the page's elements have not come up in 30 seconds"
        page.wait_for_timeout(50)


def shown_texts(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".output .as-markdown").all_inner_texts()]


def groups_as_texts(ranking: Ranking) -> list[set[str]]:
    texts = dict(ranking.prompt.completions.values_list("pk", "text"))
    return [{texts[completion] for completion in group} for group in ranking.groups]


def test_an_instruction_is_written_and_the_next_one_follows(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=2)
    page = sign_in(world.alice)
    start(page, ItemKind.INSTRUCTION)
    first = page.url
    page.get_by_label("Use case").select_option("brainstorming")
    page.get_by_label("Instruction", exact=True).fill("Name five rivers.\nOne a line.")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page).to_have_url(ASSIGNMENT)
    assert page.url != first
    prompt = Prompt.objects.get()
    assert (prompt.text, prompt.use_case, prompt.author) == (
        "Name five rivers.\nOne a line.",
        "brainstorming",
        world.alice,
    )


def test_a_few_shot_instruction_becomes_turns_with_the_instruction_first(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=1)
    page = sign_in(world.alice)
    start(page, ItemKind.INSTRUCTION)
    expect(page.get_by_label("Example 1", exact=True)).to_be_hidden()
    page.get_by_label("Few-shot").check()
    page.get_by_label("Instruction", exact=True).fill("Say the opposite.")
    page.get_by_label("Example 1", exact=True).fill("hot")
    page.get_by_label("Answer to example 1").fill("cold")
    page.get_by_label("The new case to answer").fill("wet")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    assert [(turn["role"], turn["content"]) for turn in Prompt.objects.get().messages] == [
        ("user", "Say the opposite.\n\nhot"),
        ("assistant", "cold"),
        ("user", "wet"),
    ]


def test_an_answer_is_written_its_draft_survives_a_reload_and_the_next_one_follows(
    world: World, sign_in: SignIn
) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    for text in ("What is the capital of **France**?", "And of Italy?"):
        make_prompt(world.project, text)
    page = sign_in(world.alice)
    start(page, ItemKind.DEMONSTRATION)
    first = page.url
    page.get_by_label("Your answer").fill("Paris, 巴黎 🗼")
    expect(page.get_by_text("11 of at most 16,000 characters")).to_be_visible()
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Your answer")).to_have_value("Paris, 巴黎 🗼")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert page.url != first
    assert Demonstration.objects.get().text == "Paris, 巴黎 🗼"


def test_a_ranking_with_a_tie_is_made_by_keyboard_alone(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    make_ranking_item(world.project, prompt=make_prompt(world.project, "Another?"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    first = page.url
    texts = shown_texts(page)
    for key in ("2", "ArrowRight", "1", "ArrowRight", "=", "d", "4", "Shift+Digit5"):
        page.keyboard.press(key)
    expect(page.locator("[data-order]")).to_have_text("B = C > A > D")
    expect(page.locator("#live")).to_have_text("Output D: quality 5 of 7.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert page.url != first
    ranking = Ranking.objects.get()
    assert groups_as_texts(ranking) == [{texts[1], texts[2]}, {texts[0]}, {texts[3]}]
    assert ranking.ratings == {str(ranking.shown[3]): 5}
    assert ranking.seconds is not None
    assert ranking.seconds > 0


def test_ties_are_spoken(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    for key in ("1", "b", "="):
        page.keyboard.press(key)
    expect(page.locator("#live")).to_have_text("Output B: rank 1, tied with A.")


def test_the_same_ranking_by_mouse_on_the_form_and_by_dragging(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two", "three"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    texts = shown_texts(page)
    page.get_by_role("radio", name="1", exact=True).nth(0).check(force=True)
    for letter, rank in (("B", 3), ("C", 1)):
        column = page.locator(f'.rank-column[data-rank="{rank}"]')
        page.locator(f".chip:text-is('{letter}')").drag_to(column)
    expect(page.locator("[data-order]")).to_have_text("A = C > B")
    page.locator("#output-b").get_by_text("Flags").click()
    page.locator("#output-b").get_by_role("group", name="Hallucination").get_by_label("Not applicable").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Nothing for you right now")).to_be_visible()
    ranking = Ranking.objects.get()
    assert groups_as_texts(ranking) == [{texts[0], texts[2]}, {texts[1]}]
    assert ranking.flags == {str(ranking.shown[1]): {"hallucination": "na"}}


def test_all_three_jobs_work_without_javascript(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"), priority=1)
    type(world.project).objects.update(instructions_wanted=3, demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project, "Name a river.")
    page = sign_in(world.alice, js=False)
    page.goto("/projects/capitals/work/")
    page.get_by_role("button", name="Start working").click()
    for key in "ab":
        page.locator(f"[name=rank_{key}][value='1']").check(force=True)
    page.get_by_role("button", name="Submit").click()
    page.get_by_label("Your answer").fill("The Nile.")
    page.get_by_role("button", name="Submit").click()
    page.get_by_label("Instruction", exact=True).fill("Name a mountain.")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert len(Ranking.objects.get().groups) == 1
    assert Demonstration.objects.get().text == "The Nile."
    assert Prompt.objects.get(author=world.alice).text == "Name a mountain."


def test_a_double_click_on_submit_counts_once(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    make_ranking_item(world.project, texts=("three", "four"), prompt=make_prompt(world.project, "Another?"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    for key in ("1", "b", "2"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert Ranking.objects.count() == 1
    assert Assignment.objects.count() == 2


def test_a_skipped_piece_leads_to_the_next(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    make_ranking_item(world.project, prompt=make_prompt(world.project, "Another?"))
    page = sign_in(world.alice)
    start(page, ItemKind.RANKING)
    page.get_by_text("Skip", exact=True).click()
    page.get_by_role("button", name="Not my field").click()
    expect(page.get_by_text("Skipped.")).to_be_visible()
    assert Assignment.objects.get(state="skipped").skip_reason == "not_my_field"


def test_signing_out_elsewhere_loses_nothing(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    page = sign_in(world.alice)
    start(page, ItemKind.DEMONSTRATION)
    page.context.clear_cookies(name="sessionid")
    page.get_by_label("Your answer").fill("Paris, of course.")
    expect(page.get_by_text("Not saved: you are signed out.").first).to_be_visible()
    other = page.context.new_page()
    other.goto("/account/login/")
    other.get_by_label("User name").fill("alice")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Draft saved")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert Demonstration.objects.get().text == "Paris, of course."
