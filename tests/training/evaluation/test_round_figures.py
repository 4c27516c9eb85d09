"""Intervals of a round's own figures: made of what its evaluation kept of every prompt, and shown beside them."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from django.test import Client

from annotation.quality.bootstrap import weights
from tests.training.carrying_on import carry_on, end_run, start
from tests.training.pages.scene import FIGURES, Scene, build_scene
from tests.training.world import Lab
from training import rounds, runs
from training.evaluation import round_figures, table
from training.models import RewardModel, Stage, TrainingRun

KL = {"value": 4.31, "low": 3.9, "high": 4.8, "prompts": 200}
ACCURACY = {"value": 0.768, "low": 0.741, "high": 0.793, "prompts": 90}


@pytest.fixture
def scene(db: None) -> Scene:
    return build_scene()


@pytest.fixture
def rosa(scene: Scene) -> Client:
    client = Client()
    client.force_login(scene.people.rosa)
    return client


def kept(run: TrainingRun, by_prompt: dict[str, Any]) -> None:
    run.output.mkdir(parents=True, exist_ok=True)
    (run.output / round_figures.BY_PROMPT).write_text(json.dumps(by_prompt))


def test_an_interval_is_the_middle_of_what_other_draws_of_prompts_give(scene: Scene) -> None:
    """Against resampling written out: draw the prompts, add up sums and divisors, divide."""
    chance = np.random.default_rng(3)
    rows = [(float(chance.normal(2, 1)), float(chance.integers(1, 4))) for _prompt in range(40)]
    run = scene.run(Stage.EVALUATE, result={"kl": 1.0, "seconds": {"total": 2}})
    kept(run, {"kl": rows})
    sums = np.concatenate(list(weights(40))) @ np.array(rows)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    found = round_figures.of_run(run)
    assert found["kl"] == 1.0
    assert "seconds" not in found
    assert found["intervals"]["kl"] == {
        "value": pytest.approx(sum(total for total, _of in rows) / sum(of for _total, of in rows), rel=1e-5),
        "low": pytest.approx(low, rel=1e-5), "high": pytest.approx(high, rel=1e-5), "prompts": 40,
    }  # fmt: skip


def test_of_four_prompts_there_is_no_interval_and_of_what_is_no_number_nothing(scene: Scene) -> None:
    run = scene.run(Stage.EVALUATE, result={"kl": 1.0})
    kept(run, {"kl": [(1.0, 1)] * 4, "mean_reward": [(float("nan"), 1)] * 9, "finished": []})
    assert round_figures.of_run(run)["intervals"] == {"kl": {"value": 1.0, "low": None, "high": None, "prompts": 4}}


def test_what_was_measured_before_intervals_were_kept_has_none(scene: Scene) -> None:
    assert round_figures.of_run(scene.run(Stage.EVALUATE, result={"kl": 1.0})) == {"kl": 1.0}


def test_a_round_keeps_them_with_its_models(lab: Lab) -> None:
    round = carry_on(start(lab), until="evaluate")
    run = round.runs.get(stage=Stage.EVALUATE)
    kept(run, {"kl": [(float(number), 1) for number in range(8)]})
    end_run(run)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.figures["kl"] == 1.5
    assert round.figures["intervals"]["kl"]["prompts"] == 8
    assert round.policy is not None
    assert round.policy.figures == round.figures


def test_a_real_evaluation_tells_of_every_prompt(lab: Lab) -> None:
    round = carry_on(start(lab, evaluation_prompts=12), until="sft")
    prompts = [{"id": prompt.pk, "prompt": prompt.text} for prompt in lab.prompts("test")[:12]]  # type: ignore[arg-type]
    run = runs.create(
        lab.project, stage=Stage.EVALUATE, user=None, base=lab.base, reference=lab.base, preset="test",
        dataset=round.dataset, inputs={"prompts": prompts},
    )  # fmt: skip
    runs.execute(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", run.error
    intervals = round_figures.of_run(run)["intervals"]
    assert set(intervals) == {"kl", "kl_k3", "mean_length", "finished"}
    assert intervals["mean_length"]["prompts"] == 12
    for name, cell in intervals.items():
        assert cell["value"] == pytest.approx(run.result[name], rel=1e-4, abs=1e-5)
        assert cell["low"] <= cell["value"] <= cell["high"]


def with_intervals(scene: Scene) -> None:
    round = scene.published_round()
    figures = FIGURES | {"annotator_agreement": 0.75, "agreement_pairs": 60}
    figures |= {"intervals": {"kl": KL, "pair_accuracy": ACCURACY}}
    for each in (round, round.policy, round.reward_model):
        assert each is not None
        each.figures = figures
        each.save()


def test_they_stand_on_the_rounds_page_and_the_models(scene: Scene, rosa: Client) -> None:
    with_intervals(scene)
    round = scene.project.rounds.get()
    assert round.policy is not None
    page = " ".join(rosa.get(scene.address("rounds/1")).content.decode().split())
    assert re.search(r'<dd>4\.31</dd><dd class="figure__note"> 3\.9 to 4\.8 · nats a completion', page)
    assert re.search(r'<dd>0\.768</dd><dd class="figure__note"> 0\.741 to 0\.793 · agrees with people on 1,502', page)
    assert "of 60 held-out pairs that two people ranked and neither tied" in page
    assert "95% intervals by a bootstrap over prompts" in page
    page = " ".join(rosa.get(f"/policies/{round.policy.pk}/").content.decode().split())
    assert re.search(r'<dd>4\.31</dd><dd class="figure__note"> 3\.9 to 4\.8 · nats a completion', page)
    assert "0.741" not in page  # that is the reward model's


def test_the_table_and_its_file_hold_them(scene: Scene, rosa: Client) -> None:
    with_intervals(scene)
    content = rosa.get(scene.address("models/compare").rstrip("/") + ".csv?measure=kl&measure=pair_accuracy").content
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))}
    ppo, judge = rows["round-1-ppo"], rows["round-1-reward-model"]
    assert (ppo["kl"], ppo["kl/low"], ppo["kl/high"], ppo["pair_accuracy/low"]) == ("4.31", "3.9", "4.8", "")
    assert (judge["pair_accuracy/low"], judge["pair_accuracy/high"], judge["kl"]) == ("0.741", "0.793", "")
    page = rosa.get(f"{scene.address('models/compare')}?measure=kl").content.decode()
    assert '<span class="interval">[3.9, 4.8]</span>' in page


def test_a_reward_model_whose_round_measured_the_policy_alone_has_no_figures(scene: Scene) -> None:
    model = RewardModel.objects.create(project=scene.project, name="rm", figures={"kl": 3, "intervals": {"kl": KL}})
    assert table.figures_of(model) == {}
