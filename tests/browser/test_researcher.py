"""The researcher's pages in a real browser: the form follows the preset, and a run is followed without a reload."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.annotation.conftest import SignIn, sign_in  # noqa: F401 - the fixture
from training.models import Round, Stage, TrainingRun

if TYPE_CHECKING:
    from tests.training.pages.scene import Scene

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SIGN_OF_A_RELOAD = "window.opened === undefined"


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    from tests.training.pages.scene import build_scene

    return build_scene()


def curve(steps: int) -> list[dict[str, float]]:
    return [{"step": step, "objective/reward": step / 10, "objective/kl": step / 20} for step in range(1, steps + 1)]


def test_the_settings_form_fits_a_phone_and_follows_the_preset(scene: Scene, sign_in: SignIn) -> None:  # noqa: F811
    page = sign_in(scene.people.rosa, width=390)
    page.goto(scene.address("rounds"))
    page.get_by_text("Change how it is trained").click()
    page.locator("#settings-ppo > summary").click()
    page.locator("[name=ppo__kl_coef]").fill("0.3")
    page.get_by_label("Settings", exact=True).select_option("test")
    expect(page.locator("[name=ppo__total_episodes]")).to_have_attribute("placeholder", "24")
    expect(page.locator("[name=ppo__kl_coef]")).to_have_value("0.3")
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert page.evaluate(OVERFLOW) == 0


def test_a_running_round_is_followed_without_a_reload_and_an_open_table_stays_open(
    scene: Scene,
    sign_in: SignIn,  # noqa: F811
) -> None:
    from tests.training.pages.scene import write_metrics

    round = scene.round(stage="ppo")
    run = scene.run(Stage.PPO, round=round, state="running", step=3, total_steps=20, latest={"seconds": 3})
    write_metrics(run, curve(3))
    page = sign_in(scene.people.rosa)
    page.goto(scene.address("rounds/1"))
    page.evaluate("window.opened = true")
    expect(page.get_by_text("Step 3 of 20")).to_be_visible()
    page.get_by_text("Table: Reward").click()
    write_metrics(run, curve(4))
    TrainingRun.objects.filter(pk=run.pk).update(step=4)
    expect(page.get_by_text("Step 4 of 20")).to_be_visible()
    expect(page.get_by_role("row", name="4 0.4")).to_be_visible()
    assert not page.evaluate(SIGN_OF_A_RELOAD)
    Round.objects.filter(pk=round.pk).update(state="failed", error="The disk is full.")
    expect(page.get_by_text("The disk is full.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_who_was_signed_out_meanwhile_gets_the_sign_in_page(scene: Scene, sign_in: SignIn) -> None:  # noqa: F811
    scene.round(stage="sft")
    page = sign_in(scene.people.rosa)
    page.goto(scene.address("rounds/1"))
    page.context.clear_cookies()
    expect(page).to_have_url(re.compile("/account/login/"))
