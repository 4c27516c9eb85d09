"""A researcher's round in a real browser with the real services: the button, the worker, the trainers, the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from annotation.models import Item, ItemKind
from tests.browser.annotation.conftest import SignIn, sign_in  # noqa: F401 - the fixture
from training.models import Round

if TYPE_CHECKING:
    from tests.training.world import Lab

MINUTES = 60_000


@pytest.fixture
def lab(transactional_db: None) -> Lab:
    from tests.training.world import build_lab

    return build_lab()


@pytest.mark.timeout(600)
def test_a_round_from_the_button_to_its_outputs_in_the_queue(lab: Lab, sign_in: SignIn) -> None:  # noqa: F811
    from tests.processes import worker

    page = sign_in(lab.rosa)
    page.goto(f"/projects/{lab.project.slug}/rounds/")
    page.get_by_text("Change how it is trained").click()
    page.get_by_label("Settings", exact=True).select_option("test")
    page.get_by_label("wait until somebody has looked").check()
    page.get_by_label("Prompts to answer for the queue").fill("4")
    with worker():
        page.get_by_role("button", name="Start a round").click()
        expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
        # It follows the training by itself, up to where it waits for a person.
        expect(page.get_by_role("button", name="Publish")).to_be_visible(timeout=5 * MINUTES)
        expect(page.get_by_role("img", name="Reward: from")).to_be_visible()
        expect(page.get_by_text("Reward on held-out prompts")).to_be_visible()
        expect(page.get_by_role("heading", name="The same prompts before and after PPO")).to_be_visible()
        assert not Item.objects.filter(kind=ItemKind.RANKING).exists()
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Sets of outputs in the queue")).to_be_visible(timeout=2 * MINUTES)
    round = Round.objects.get()
    assert round.state == "published"
    assert round.published_by == lab.rosa
    assert Item.objects.filter(kind=ItemKind.RANKING).exists()
    page.get_by_role("link", name="The new policy").click()
    expect(page.get_by_text("answers now")).to_be_visible()
    expect(page.get_by_text("Hyperparameters")).to_be_visible()  # of its model card
