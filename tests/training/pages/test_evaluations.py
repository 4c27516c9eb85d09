"""Evaluating from a model's page, and what the page then tells; the same for scripts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.training.pages.scene import Scene
from training.datasets import freeze
from training.models import Policy, RewardModel, Stage, TrainingRun

CELL = {"value": 23.456, "low": 20.0, "high": 25.0, "prompts": 30}
FEW = {"value": 9.5, "low": None, "high": None, "prompts": 2}


def evaluation(scene: Scene, policy: Policy, *, bleu: float = 23.456, **fields: Any) -> TrainingRun:
    cell = CELL | {"value": bleu}
    groups = {"language": {"en": {"bleu": cell}, "zh": {"bleu": FEW}}, "use_case": {"chat": {"bleu": cell}}}
    found = {"prompts": 32, "outputs": 64, "overall": {"bleu": cell, "reward": FEW}, "groups": groups}
    defaults = {"state": "succeeded", "result": {"evaluation": found}, "inputs": {"evaluation": True}}
    return scene.run(Stage.SAMPLE, base=policy, **defaults | fields)


def page_of(client: Client, policy: Policy) -> str:
    response = client.get(f"/policies/{policy.pk}/")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_without_a_dataset_the_page_says_to_freeze_one(scene: Scene, rosa: Client) -> None:
    page = page_of(rosa, scene.base)
    assert "Not measured yet" in page
    assert "freeze a dataset first" in page
    assert "/evaluate/" not in page


def test_pressing_evaluate_starts_a_run_with_what_was_chosen(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    scene.hold_out_an_answer()
    older, newest = freeze(scene.project, user=None), freeze(scene.project, user=None)
    judge = RewardModel.objects.create(project=scene.project, name="judge", path="models/none")
    page = page_of(rosa, scene.base)
    assert f'<option value="{newest.pk}" selected>' in page
    given = {"dataset": older.pk, "judge": judge.pk, "prompts": 7, "completions": 3, "temperature": 0.5}
    response = rosa.post(f"/policies/{scene.base.pk}/evaluate/", given)
    run = TrainingRun.objects.get()
    assert response["Location"] == f"/runs/{run.pk}/"
    assert (run.dataset, run.judge, run.base, run.created_by) == (older, judge, scene.base, scene.people.rosa)
    assert (run.hyperparameters["completions"], run.hyperparameters["temperature"]) == (3, 0.5)
    assert [row["prompt"] for row in run.inputs["prompts"]] == ["What is held out?"]
    assert "An evaluation is on its way:" in page_of(rosa, scene.base)


def test_what_can_not_be_is_refused_on_the_page(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    given = {"dataset": freeze(scene.project, user=None).pk, "prompts": 7, "completions": 1, "temperature": 1}
    address = f"/policies/{scene.base.pk}/evaluate/"
    refused = rosa.post(address, given)
    assert refused.status_code == 422
    assert "holds no answers by people" in refused.content.decode()
    scene.hold_out_an_answer()
    given["dataset"] = freeze(scene.project, user=None).pk
    for wrong in ({"prompts": 0}, {"temperature": "hot"}, {"dataset": 10**9}, {"judge": 10**9}):
        assert rosa.post(address, given | wrong).status_code == 422, wrong
    assert not TrainingRun.objects.exists()


def test_the_newest_figures_stand_on_the_page_with_their_intervals_and_groups(scene: Scene, rosa: Client) -> None:
    evaluation(scene, scene.base, bleu=1.0)
    run = evaluation(scene, scene.base)
    evaluation(scene, scene.published_round().policy or scene.base, bleu=77.0)
    page = page_of(rosa, scene.base)
    assert "<dt>BLEU</dt><dd>23.5</dd>" in page
    assert "20 to 25 · from 0 to 100" in page
    assert "<dt>Reward of the outputs</dt><dd>9.5</dd>" in page
    assert "64 outputs to 32 prompts" in page
    assert f'href="/runs/{run.pk}/"' in page
    assert 'English</th><td class="number">30</td><td class="number"> 23.5 <span class="interval">[20, 25]' in page
    assert "By use case" not in page  # where all are alike a table says nothing
    assert "<dd>77</dd>" not in page


def test_an_evaluation_that_failed_is_told_until_a_later_one_has_figures(scene: Scene, rosa: Client) -> None:
    evaluation(scene, scene.base, state="failed", result={})
    assert "An evaluation failed:" in page_of(rosa, scene.base)
    evaluation(scene, scene.base, result={"evaluation": {"problem": "OSError()"}})
    assert "could not be measured" in page_of(rosa, scene.base)
    evaluation(scene, scene.base)
    page = page_of(rosa, scene.base)
    assert "failed" not in page
    assert "could not be measured" not in page


def test_scripts_evaluate_with_defaults_and_are_told_why_not(scene: Scene, rosa: Client) -> None:
    address = f"/api/v1/policies/{scene.base.pk}/evaluate/"
    assert "has no dataset" in rosa.post(address).json()["detail"]
    scene.make_ready()
    freeze(scene.project, user=None)
    refused = rosa.post(address)
    assert (refused.status_code, "no answers by people" in refused.json()["detail"]) == (409, True)
    scene.hold_out_an_answer()
    dataset = freeze(scene.project, user=None)
    response = rosa.post(address, {"completions": 2}, content_type="application/json")
    assert response.status_code == 201
    run = TrainingRun.objects.get(pk=response.json()["id"])
    assert (run.dataset, run.hyperparameters["completions"]) == (dataset, 2)
    assert rosa.post(address, {"dataset": 10**9}, content_type="application/json").status_code == 404
    assert rosa.post(address, {"prompts": 0}, content_type="application/json").status_code == 400


@pytest.mark.parametrize(("person", "status"), [("alice", 403), ("rita", 403), ("charlie", 404)])
def test_nobody_else_may_evaluate(scene: Scene, person: str, status: int) -> None:
    scene.make_ready()
    scene.hold_out_an_answer()
    freeze(scene.project, user=None)
    client = Client()
    client.force_login(scene.people.everyone()[person])
    for address in (f"/policies/{scene.base.pk}/evaluate/", f"/api/v1/policies/{scene.base.pk}/evaluate/"):
        assert client.post(address).status_code == status
    assert not TrainingRun.objects.exists()


def judged(scene: Scene, judge: RewardModel, **bias: Any) -> TrainingRun:
    """An evaluation of the reward model with its figures."""
    cell = {"value": 0.71, "low": 0.66, "high": 0.75, "prompts": 30}
    groups = {"gap": {"1": {"accuracy": cell}, "5": {"accuracy": cell | {"value": 0.93}}}}
    found = {"prompts": 30, "outputs": 120, "overall": {"accuracy": cell}, "groups": groups, "bias": bias}
    asked = {"evaluation": True}
    return scene.run(Stage.SCORE, judge=judge, state="succeeded", inputs=asked, result={"evaluation": found})


def test_a_reward_model_is_evaluated_and_tells_accuracy_also_by_distance_of_ranks(scene: Scene, rosa: Client) -> None:
    model = scene.published_round().reward_model
    assert model is not None
    address = f"/reward-models/{model.pk}/"
    assert "Not measured yet. Evaluate it" in rosa.get(address).content.decode()
    assert rosa.post(f"{address}evaluate/", {"dataset": 10**9, "rankings": 5}).status_code == 422
    dataset = scene.project.datasets.get()
    refused = rosa.post(f"{address}evaluate/", {"dataset": dataset.pk, "rankings": 5})
    assert "holds no rankings of prompts" in refused.content.decode()
    assert rosa.post(f"/api/v1{address}evaluate/").status_code == 409
    judged(scene, model)
    page = " ".join(rosa.get(address).content.decode().split())
    assert "<dt>Reward accuracy</dt><dd>0.71</dd>" in page
    assert "0.66 to 0.75 · share, 0 to 1" in page
    assert '<th scope="row">5 or more</th><td class="number">30</td><td class="number"> 0.93 <span' in page
    assert f'href="{address}bias/"' in page


def test_what_people_and_model_owe_to_form_stands_side_by_side(scene: Scene, rosa: Client) -> None:
    model = scene.published_round().reward_model
    assert model is not None
    address = f"/reward-models/{model.pk}/bias/"
    assert "Evaluate the reward model first" in rosa.get(address).content.decode()
    judged(scene, model, people={}, model={})
    assert "too few held-out rankings" in rosa.get(address).content.decode()
    odds = {"value": 1.25, "low": 1.1, "high": 1.4, "prompts": 30}
    judged(scene, model, people={"length": odds, "position": odds}, model={"length": odds | {"value": 2.5}})
    page = " ".join(rosa.get(address).content.decode().split())
    interval = r'<span class="interval">\[1\.1, 1\.4\]</span> </td>'
    assert re.search(
        rf'Twice as long.*?</th><td class="number"> 1\.25 {interval}<td class="number"> 2\.5 {interval}', page
    )
    assert re.search(
        rf'One place earlier.*?</th><td class="number"> 1\.25 {interval}<td class="number"> – ?</td>', page
    )
    assert "Headings" not in page
