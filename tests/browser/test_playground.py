"""The playground in a real browser with a real worker and real models: two answers side by side, a talk, the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.algorithms.taught import CHINESE
from tests.browser.annotation.conftest import SignIn, sign_in  # noqa: F401 - the fixture
from tests.browser.test_every_page import ALL_RULES, DESK, OPEN_ALL, OVERFLOW, PHONE, SOME_RULES

if TYPE_CHECKING:
    from tests.training.playground.scene import Scene

LOADED = 240_000


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    from tests.training.playground.scene import build_scene

    return build_scene()


def ask(page: Page, scene: Scene, *, second: str = "") -> None:
    page.goto(scene.address())
    page.get_by_label("Policy A").select_option("ppo")
    page.get_by_label("Policy B").select_option(second)
    page.get_by_label("What you ask").fill("one dog")
    page.get_by_text("Temperature, length, seed").click()
    page.get_by_label("Temperature", exact=True).fill("0")
    page.get_by_role("button", name="Ask", exact=True).click()


def faults_of(page: Page) -> list[str]:
    """What axe finds at a desk in the light, and at a phone in the dark; and what is wider than a phone."""
    page.emulate_media(reduced_motion="reduce")  # or colours are looked at while they change
    page.evaluate(OPEN_ALL)
    page.evaluate(AXE_SCRIPT)
    found = [page.evaluate("options => axe.run(options)", ALL_RULES)]
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    found.append(page.evaluate("options => axe.run(options)", SOME_RULES))
    wider = ["wider than a phone"] if page.evaluate(OVERFLOW) else []
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    return wider + [
        f"{violation['id']}: {violation['nodes'][0]['target'][0]}" for each in found for violation in each["violations"]
    ]


@pytest.mark.timeout(900)
def test_two_policies_answer_side_by_side_and_what_they_said_is_ranked(
    scene: Scene,
    sign_in: SignIn,  # noqa: F811
) -> None:
    from annotation.models import Completion, Item
    from tests.processes import worker

    with worker(queues="default", threads=4):
        page = sign_in(scene.people.rosa)
        ask(page, scene, second="sft")
        first, second = page.locator("[data-side=first]"), page.locator("[data-side=second]")
        expect(first.locator(".answer__text")).to_have_text(CHINESE, timeout=LOADED)
        expect(first.get_by_text("by judge")).to_be_visible(timeout=LOADED)
        expect(first.get_by_text("KL to SFT")).to_be_visible()
        expect(second.get_by_role("button", name="Go on with this answer")).to_be_visible(timeout=LOADED)
        first.get_by_text("Table: each word").click()
        expect(first.get_by_role("row", name="中 3")).to_be_visible()
        expect(first.get_by_role("row", name="end of the answer 1")).to_be_visible()
        assert page.evaluate(OVERFLOW) == 0

        page.get_by_role("button", name="Have them ranked").click()
        expect(page.get_by_text("2 outputs are in the ranking queue, blind.")).to_be_visible()
        [item] = Item.objects.all()
        authors = {each.generator for each in Completion.objects.filter(pk__in=item.completions)}
        assert authors == {scene.policy.generator, scene.sft.generator}
        page.get_by_role("button", name="Have them ranked").click()
        expect(page.get_by_text("This answer is in the queue already.")).to_be_visible()
        sign_in.complaints.clear()  # type: ignore[attr-defined] # the browser logs the 422, which is what was asked of it
        assert faults_of(page) == []

        first.get_by_role("button", name="Go on with this answer").click()
        expect(page.get_by_role("heading", name="The conversation so far")).to_be_visible()
        expect(page.get_by_text(CHINESE)).to_be_visible()
        page.get_by_label("What you ask").fill("one cat")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(first.get_by_role("button", name="Go on with this answer")).to_be_visible(timeout=LOADED)

        plain = sign_in(scene.people.rosa, width=390, js=False)
        ask(plain, scene)
        expect(plain.locator("[data-side=first] .answer__text")).to_have_text(CHINESE)
        expect(plain.locator("[data-side=second]")).to_be_hidden()
