"""Rounds in a real browser with real trainers: through a gate that people answer; stopped in the middle, gone on."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.annotation.conftest import SignIn, sign_in  # noqa: F401 - the fixture
from training.models import Policy, Round, Stage

if TYPE_CHECKING:
    from annotation.models import User
    from tests.training.world import Lab

MINUTES = 60_000
JUDGEMENTS = 8


@pytest.fixture
def lab(transactional_db: None) -> Lab:
    from tests.training.world import build_lab

    return build_lab()


def choose(page: Page, lab: Lab, **settings: str) -> None:
    """The form that starts a round, with the smallest settings and these."""
    page.set_default_timeout(2 * MINUTES)  # trainers take what there is of the machine
    page.goto(f"/projects/{lab.project.slug}/rounds/")
    page.get_by_text("Change how it is trained").click()
    page.get_by_label("Settings", exact=True).select_option("test")
    expect(page.locator("[name=ppo__total_episodes]")).to_have_attribute("placeholder", "24", timeout=2 * MINUTES)
    page.get_by_label("Prompts to answer for the queue").fill("4")
    for name, value in settings.items():
        page.locator(f"[name={name}]").evaluate("(field, value) => { field.value = value }", value)


def judge_all(address: str, person: User) -> int:
    """A simulated annotator at work over HTTP, who likes the new policy's outputs; how many pairs that were."""
    from annotation.models import Assignment, Completion
    from tests.world import make_token
    from training.models import GatePair

    def answer(shown: dict[str, Any]) -> dict[str, Any]:
        pair = GatePair.objects.get(item__assignments=Assignment.objects.get(pk=shown["id"]))
        liked = Completion.objects.get(pk=pair.new_id).text
        ordered = sorted(shown["completions"], key=lambda output: output["text"] != liked)
        return {"client_key": str(uuid.uuid4()), "groups": [[output["id"]] for output in ordered]}

    headers = {"Authorization": f"Bearer {make_token(person)}"}
    with httpx.Client(base_url=f"{address}/api/v1/", headers=headers, timeout=30) as http:
        done, kinds = 0, ["ranking"]
        taken = http.post("projects/capitals/queue/take/", json={"kinds": kinds}).raise_for_status()
        shown = None if taken.status_code == 204 else taken.json()
        while shown is not None:
            sent = {**answer(shown), "take_next": True, "kinds": kinds}
            shown = http.post(f"assignments/{shown['id']}/submit/", json=sent).raise_for_status().json()["next"]
            done += 1
    return done


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_round_from_the_button_through_its_gate_to_its_publication(
    lab: Lab,
    sign_in: SignIn,  # noqa: F811
    live_server: Any,
) -> None:
    from tests.processes import worker
    from training.tasks import sweep

    page = sign_in(lab.rosa)
    choose(page, lab)
    page.get_by_label("publish it if people prefer it").check()
    page.get_by_label("Judgements at the gate").fill(str(JUDGEMENTS))
    page.get_by_label("Win rate that publishes").fill("0.5")
    with worker():
        page.get_by_role("button", name="Start a round").click()
        expect(page.get_by_role("heading", name="The gate: do people prefer it to")).to_be_visible(timeout=6 * MINUTES)
        round = Round.objects.get()
        assert round.state == "gate"
        expect(page.get_by_text("Until then nobody sees a win rate.")).to_be_visible(timeout=2 * MINUTES)
        asked = JUDGEMENTS - round.gate.pairs.filter(state="used").exclude(settled=None).count()

        annotator = sign_in(lab.people.alice)
        annotator.goto(f"/projects/{lab.project.slug}/work/")
        annotator.get_by_role("button", name="Start working").click()
        expect(annotator.locator(".output")).to_have_count(2, timeout=2 * MINUTES)
        assert "gate" not in annotator.locator("main").inner_text().lower()
        assert judge_all(live_server.url, lab.people.alice) == asked

        sweep.delay()  # what the stack's clock does four times a minute
        expect(page.get_by_text("people preferred the new policy's output")).to_be_visible(timeout=2 * MINUTES)
        expect(page.get_by_text("Sets of outputs in the queue")).to_be_visible(timeout=3 * MINUTES)
    round.refresh_from_db()
    assert (round.state, round.gate.outcome) == ("published", "passed")
    assert round.gate.result["judgements"] == JUDGEMENTS
    assert Policy.objects.current(lab.project) == round.policy
    page.get_by_role("link", name="The new policy").click()
    expect(page.get_by_text("Win rate at equal length")).to_be_visible(timeout=2 * MINUTES)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_round_is_stopped_in_the_middle_of_ppo_and_goes_on_and_another_like_it_is_started(
    lab: Lab,
    sign_in: SignIn,  # noqa: F811
) -> None:
    from tests.processes import worker
    from training.curves import metrics

    page = sign_in(lab.rosa)
    choose(page, lab, ppo__total_episodes="640")
    page.get_by_label("wait until somebody has looked").check()
    with worker():
        page.get_by_role("button", name="Start a round").click()
        expect(page.get_by_role("img", name="Reward: from")).to_be_visible(timeout=5 * MINUTES)
        page.get_by_role("button", name="Cancel the round").click()
        expect(page.get_by_text("This round was cancelled.")).to_be_visible(timeout=2 * MINUTES)
        ppo = Round.objects.get().runs.get(stage=Stage.PPO)
        expect(page.locator("li[data-state=cancelled]")).to_contain_text("PPO", timeout=2 * MINUTES)
        stopped_at = _ended(ppo)
        assert 0 < stopped_at < ppo.total_steps

        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("button", name="Publish")).to_be_visible(timeout=6 * MINUTES)
        steps = [row["step"] for row in metrics(ppo)]
        # Gone on from there: of the rows, one each so many steps, none is there twice and none is left out.
        assert steps == list(range(steps[0], ppo.total_steps + 1, steps[0]))
        page.get_by_role("button", name="Cancel the round").click()

        page.get_by_role("link", name="Start another like it").click()
        expect(page.get_by_text("The settings below are those of round 1.")).to_be_visible(timeout=2 * MINUTES)
        expect(page.locator("[name=ppo__total_episodes]")).to_have_value("640", timeout=2 * MINUTES)
        page.locator("[name=ppo__total_episodes]").evaluate("field => { field.value = '16' }")
        page.get_by_role("button", name="Start a round").click()
        expect(page).to_have_url(re.compile(r"/rounds/2/?$"), timeout=2 * MINUTES)
        expect(page.get_by_role("button", name="Publish")).to_be_visible(timeout=6 * MINUTES)
    first, second = Round.objects.order_by("number")
    before, after = (round.options["hyperparameters"]["ppo"] for round in (first, second))
    assert (before, after) == ({"total_episodes": 640}, {"total_episodes": 16})
    same = {name for name in first.options if first.options[name] == second.options[name]}
    assert first.options.keys() - same == {"hyperparameters"}


def _ended(run: Any) -> int:
    """The step that it stopped at, once its process has."""
    from tests.processes import wait_for

    def stopped() -> bool:
        run.refresh_from_db()
        return bool(run.is_final)

    wait_for(stopped, seconds=60)
    return int(run.step)
