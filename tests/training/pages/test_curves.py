"""Several runs' curves over one another: on the page, and for scripts."""

from __future__ import annotations

import math
import re

import pytest
from django.test import Client

from tests.training.pages.scene import Scene, write_metrics
from training.curves import overlaid
from training.models import Policy, Stage, TrainingRun
from training.views.curves import AT_FIRST, MOST


def sft_runs(scene: Scene, count: int) -> list[TrainingRun]:
    runs = [scene.run(state="succeeded") for _number in range(count)]
    for place, run in enumerate(runs):
        write_metrics(run, [{"step": step, "loss": place + 1 / step, "held_out/loss": 2.0} for step in (1, 2, 4)])
    return runs


def page_of(client: Client, scene: Scene, query: str = "") -> str:
    response = client.get(scene.address("curves") + query)
    assert response.status_code == 200
    return response.content.decode()


def legends(page: str) -> list[list[str]]:
    """Of each chart, the dashes in its legend and what they stand for."""
    lists = re.findall(r'<ul class="chart__legend".*?</ul>', page, re.DOTALL)
    return [re.findall(r'<li class="(series-\d)">.*?<span>(.*?) · ', each) for each in lists]


def test_a_metric_has_one_row_a_step_with_what_each_run_has_there() -> None:
    runs = {"a": [{"step": 1, "loss": 3.0}, {"step": 3, "loss": 1.0, "lr": 0.1}], "b": [{"step": 3, "loss": 2.0}]}
    assert overlaid(runs) == {
        "loss": [{"step": 1, "a": 3.0}, {"step": 3, "a": 1.0, "b": 2.0}],
        "lr": [{"step": 3, "a": 0.1}],
    }
    assert set(overlaid(runs, leave_out=["lr"])) == {"loss"}


def test_the_chosen_runs_lie_over_one_another_each_with_a_dash_and_a_column_of_its_own(
    scene: Scene, rosa: Client
) -> None:
    first, second, third = sft_runs(scene, 3)
    Policy.objects.filter(pk=scene.base.pk).update(run=first)
    page = page_of(rosa, scene, f"?stage=sft&run={third.pk}&run={first.pk}")
    named = [("series-1", "starter"), ("series-2", f"Run {third.pk}")]
    assert legends(page) == [named, named]
    assert f"Run {third.pk}: from 3 at step 1 to 2.25 at step 4" in page
    assert page.count('<th scope="col" class="number">starter</th>') == 2
    chosen = re.findall(r'name="run" value="(\d+)" checked', page)
    assert set(chosen) == {str(first.pk), str(third.pk)}
    assert f'value="{second.pk}">' in page
    assert len(set(re.findall(r'id="(runs-[\w-]+-table)"', page))) == 2


def test_at_first_the_newest_runs_of_the_stage_trained_last_are_drawn(scene: Scene, rosa: Client) -> None:
    write_metrics(scene.run(Stage.PPO, state="succeeded"), [{"step": 1, "objective/reward": 1.0}])
    runs = sft_runs(scene, AT_FIRST + 1)
    page = page_of(rosa, scene)
    assert [name for _dash, name in legends(page)[0]] == [f"Run {run.pk}" for run in runs[1:]]
    assert 'href="?stage=ppo"' in page
    assert "Reward" in page_of(rosa, scene, "?stage=ppo")


def test_more_lines_than_can_be_told_apart_are_not_drawn_and_the_page_says_so(scene: Scene, rosa: Client) -> None:
    runs = sft_runs(scene, MOST + 1)
    page = page_of(rosa, scene, "?stage=sft" + "".join(f"&run={run.pk}" for run in runs))
    assert [name for _dash, name in legends(page)[0]] == [f"Run {run.pk}" for run in runs[1:]]
    assert f"More than {MOST} lines" in page


@pytest.mark.parametrize("query", ["", "?stage=nothing", "?stage=sft&run=x", "?run=9999999999999999999"])
def test_where_nothing_fits_the_page_says_what_to_do(scene: Scene, rosa: Client, query: str) -> None:
    scene.run(state="running")  # it has logged nothing yet
    assert "No curves yet" in page_of(rosa, scene, query)


def test_a_projects_page_knows_nothing_of_anothers_runs(scene: Scene, rosa: Client) -> None:
    (run,) = sft_runs(scene, 1)
    other = type(scene.project).objects.create(slug="elsewhere", name="Elsewhere")
    TrainingRun.objects.filter(pk=run.pk).update(project=other)
    assert "No curves yet" in page_of(rosa, scene, f"?stage=sft&run={run.pk}")
    response = rosa.get(f"/api/v1/projects/{scene.project.slug}/curves/?run={run.pk}")
    assert (response.status_code, response.json()["detail"]) == (404, f"This project has no run {run.pk}.")


def test_scripts_get_the_rows_of_several_runs_at_once(scene: Scene, rosa: Client) -> None:
    first, second = sft_runs(scene, 2)
    write_metrics(second, [{"step": 1, "loss": math.nan}])
    address = f"/api/v1/projects/{scene.project.slug}/curves/"
    told = rosa.get(f"{address}?run={second.pk}&run={first.pk}").json()["runs"]
    assert [(run["id"], run["stage"], run["name"]) for run in told] == [
        (first.pk, "sft", f"Run {first.pk}"),
        (second.pk, "sft", f"Run {second.pk}"),
    ]
    assert told[0]["rows"][0] == {"step": 1, "loss": 1.0, "held_out/loss": 2.0}
    assert told[1]["rows"] == [{"step": 1, "loss": None}]
    assert rosa.get(f"/api/v1/runs/{second.pk}/metrics/").json() == {"rows": told[1]["rows"]}
    assert rosa.get(f"{address}?run=x").json() == {"run": "'x' is no number of a run."}
