"""The table of models and figures: what is chosen, how it is ordered, and the file of it."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.test import Client
from django.utils.http import urlencode

from tests.training.pages.scene import FIGURES, Scene
from tests.training.pages.test_evaluations import evaluation
from training import registry
from training.evaluation import table
from training.models import Policy, RewardModel, TrainingRun


@pytest.fixture
def policies(scene: Scene) -> list[Policy]:
    """Three with a KL each, of which the last has been evaluated; the round brings a fourth and a reward model."""
    made = [
        registry.register_policy(scene.project, name=f"p{kl}", source="x/y", figures={"kl": kl}) for kl in (3, 1, 2)
    ]
    evaluation(scene, made[2], bleu=1.0)
    evaluation(scene, made[2], bleu=12.5, dataset=scene.published_round().dataset)
    return made


def rows_of(client: Client, scene: Scene, *chosen: tuple[str, str]) -> list[list[str]]:
    """The table of the page: a list of texts a row, its head first."""
    response = client.get(f"{scene.address('models/compare')}?{urlencode(chosen)}")
    assert response.status_code == 200
    rows = re.findall(r"<tr>.*?</tr>", response.content.decode(), re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in row] for row in cells]


def test_at_first_every_model_stands_there_with_intervals_where_there_are_any(
    scene: Scene, rosa: Client, policies: list[Policy]
) -> None:
    head, *rows = rows_of(rosa, scene)
    assert head[:3] == ["Model", "Made by", "Evaluated on"]
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert set(found) == {"p3", "p1", "p2", "starter", "round-1-ppo", "round-1-reward-model"}
    assert (found["p2"]["BLEU"], found["p2"]["KL to the reference"]) == ("12.5 [20, 25]", "2")
    assert found["p2"]["Reward of the outputs"] == "9.5"
    assert found["p2"]["Evaluated on"] == f"Dataset {TrainingRun.objects.evaluations()[0].dataset_id}"
    assert (found["round-1-ppo"]["Mean length"], found["round-1-ppo"]["Reward accuracy"]) == ("24.8", "–")
    assert (found["round-1-reward-model"]["Mean length"], found["round-1-reward-model"]["Reward accuracy"]) == (
        "–",
        "0.768",
    )


def test_models_and_figures_are_chosen_and_what_is_unknown_is_passed_over(
    scene: Scene, rosa: Client, policies: list[Policy]
) -> None:
    first, _second, third = policies
    chosen = [("model", f"policy-{first.pk}"), ("model", f"policy-{third.pk}"), ("model", "policy-x")]
    rows = rows_of(rosa, scene, *chosen, ("measure", "evaluation/bleu"), ("measure", "no/such"), ("sort", "no/such"))
    assert [row[3:] for row in rows] == [["BLEU"], ["12.5 [20, 25]"], ["–"]]
    assert {row[0] for row in rows[1:]} == {"p3", "p2"}


def test_a_columns_name_orders_by_it_then_the_other_way_and_gaps_come_last(
    scene: Scene, rosa: Client, policies: list[Policy]
) -> None:
    def names(sort: str) -> list[str]:
        return [row[0] for row in rows_of(rosa, scene, ("measure", "kl"), ("sort", sort))[1:]]

    assert names("kl")[:4] == ["round-1-ppo", "p3", "p2", "p1"]
    assert names("-kl")[:4] == ["p1", "p2", "p3", "round-1-ppo"]
    assert names("kl")[4:] == names("-kl")[4:] == ["starter", "round-1-reward-model"]
    page = rosa.get(f"{scene.address('models/compare')}?measure=kl&sort=kl").content.decode()
    assert 'aria-sort="descending"><a href="?measure=kl&amp;sort=-kl">' in page
    assert "compare.csv?measure=kl&amp;sort=kl" in page


def test_the_file_holds_the_same_with_intervals_in_columns_of_their_own(
    scene: Scene, rosa: Client, policies: list[Policy]
) -> None:
    response = rosa.get(scene.address("models/compare").rstrip("/") + ".csv?measure=kl&measure=evaluation/bleu&sort=kl")
    assert response["Content-Disposition"] == f'attachment; filename="{scene.project.slug}-models.csv"'
    rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert list(rows[0])[4:] == ["evaluation/bleu", "evaluation/bleu/low", "evaluation/bleu/high", "kl"]
    assert [row["model"] for row in rows][:4] == ["round-1-ppo", "p3", "p2", "p1"]
    run = TrainingRun.objects.evaluations()[0]
    assert rows[2] == {
        "model": "p2", "kind": "policy", "run": str(run.pk), "dataset": str(run.dataset_id), "kl": "2.0",
        "evaluation/bleu": "12.5", "evaluation/bleu/low": "20.0", "evaluation/bleu/high": "25.0",
    }  # fmt: skip
    assert rows[0]["kl"] == str(FIGURES["kl"])
    assert rows[0]["evaluation/bleu"] == ""


def test_a_name_that_a_spreadsheet_would_run_is_made_harmless(scene: Scene, rosa: Client) -> None:
    registry.register_policy(scene.project, name='=HYPERLINK("http://x")', source="x/y", figures={"kl": 1})
    content = rosa.get(scene.address("models/compare").rstrip("/") + ".csv").content.decode()
    assert "'=HYPERLINK" in content
    assert ",=HYPERLINK" not in content.replace("\n", ",")


def test_a_project_without_models_says_where_they_come_from(scene: Scene, rosa: Client) -> None:
    Policy.objects.all().delete()
    assert "No model yet" in rosa.get(scene.address("models/compare")).content.decode()


def test_figures_that_are_no_numbers_are_no_cells(scene: Scene) -> None:
    registry.register_policy(scene.project, name="odd", source="x/y", figures={"kl": "much", "list": [1]})
    RewardModel.objects.create(project=scene.project, name="rm", figures={"reliability": [], "kl": 3, "pairs": 4})
    assert table.measures(table.lines(scene.project)) == ["pairs"]


def test_the_table_takes_as_many_queries_for_many_models_as_for_few(
    scene: Scene, policies: list[Policy], django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert len(table.lines(scene.project)) == 6


@pytest.mark.parametrize(("person", "status"), [("alice", 403), ("charlie", 404)])
def test_the_file_is_for_researchers(scene: Scene, person: str, status: int) -> None:
    client = Client()
    client.force_login(scene.people.everyone()[person])
    assert client.get(scene.address("models/compare").rstrip("/") + ".csv").status_code == status
