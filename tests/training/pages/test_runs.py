from __future__ import annotations

import math

import pytest
from django.test import Client

from tests.training.pages.scene import Scene, write_metrics
from training.algorithms.presets import resolve
from training.models import Stage, TrainingRun
from training.models.runs import CARRIED_OUT_BY
from training.templatetags.training_pages import duration

STARTER_RATE = resolve("sft", preset="starter").learning_rate  # type: ignore[attr-defined]


def page_of(client: Client, run: TrainingRun) -> str:
    response = client.get(f"/runs/{run.pk}/")
    assert response.status_code == 200
    return str(response.content.decode())


def test_a_run_shows_its_settings_its_command_and_the_end_of_its_log(scene: Scene, rosa: Client) -> None:
    run = scene.run(state="running", step=3, total_steps=9)
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "run.log").write_text("".join(f"line {number}\n" for number in range(100)))
    page = page_of(rosa, run)
    assert "python -m training.algorithms sft" in page
    assert "--base someone/starter" in page
    assert f"<strong>{STARTER_RATE}</strong>" in page  # the preset's, which is not the paper's
    assert "Peak learning rate of AdamW." in page
    assert "line 99" in page
    assert "line 39" not in page
    assert "Step 3 of 9" in page


def test_numbers_that_went_wrong_leave_gaps_and_the_page_stands(scene: Scene, rosa: Client) -> None:
    run = scene.run(state="failed", error="The loss is not a number.", latest={"lr": 0.1})
    write_metrics(run, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": math.nan}, {"step": 3, "loss": 1.0}])
    page = page_of(rosa, run)
    assert page.count("chart__dot") == 2
    assert "The loss is not a number." in page


def test_a_run_without_a_step_says_that_there_are_no_curves(scene: Scene, rosa: Client) -> None:
    assert "No curves yet" in page_of(rosa, scene.run())


def test_every_metric_of_ppo_is_explained_and_drawn(scene: Scene, rosa: Client) -> None:
    names = ["objective/reward", "objective/kl", "objective/length", "policy/clipfrac", "value/loss", "something/new"]
    run = scene.run(Stage.PPO, state="succeeded", step=2, total_steps=2)
    write_metrics(run, [{"step": step, **dict.fromkeys(names, float(step))} for step in (1, 2)])
    page = page_of(rosa, run)
    assert page.count("<polyline") == len(names)
    assert "3 more curves" in page
    assert "something/new" in page


def test_a_run_of_its_own_is_cancelled_and_tried_again(scene: Scene, rosa: Client) -> None:
    run = scene.run()
    rosa.post(f"/runs/{run.pk}/cancel/")
    run.refresh_from_db()
    assert run.state == "cancelled"
    rosa.post(f"/runs/{run.pk}/retry/")
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_run_of_a_round_is_tried_again_with_its_round(scene: Scene, rosa: Client) -> None:
    run = scene.run(round=scene.round(state="failed", stage="sft"), state="failed", error="broken")
    page = page_of(rosa, run)
    assert f'action="{scene.address("rounds/1/retry")}"' in page
    assert f"/runs/{run.pk}/retry/" not in page


def test_what_took_its_time_is_said_in_the_readers_language(scene: Scene, rosa: Client) -> None:
    run = scene.run(state="succeeded", result={"seconds": {"saving": 1.0, "training": 8.0, "startup": 3.0}})
    page = rosa.get(f"/runs/{run.pk}/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert page.index("<dt>加载</dt>") < page.index("<dt>训练</dt>") < page.index("<dt>保存</dt>")
    assert "startup" not in page


def test_the_end_of_a_run_loads_the_page_anew(scene: Scene, rosa: Client) -> None:
    run = scene.run(state="succeeded", result={"loss": 0.5})
    response = rosa.get(f"/runs/{run.pk}/?phase=running", headers={"HX-Request": "true"})
    assert response["HX-Refresh"] == "true"


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_a_page(scene: Scene, rosa: Client, stage: Stage) -> None:
    inputs = {"texts": "starter/texts.jsonl"} if stage == Stage.PRETRAIN else {}
    command = CARRIED_OUT_BY.get(stage, stage)
    assert f"python -m training.algorithms {command}" in page_of(rosa, scene.run(stage, inputs=inputs))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.84, "0.8 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (98, "1 min 38 s"), (3661, "1 h 1 min"), (None, "–")],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
