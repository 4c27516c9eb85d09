"""Lineage both ways: from a dataset to the records in it, from a record to the models that learnt from it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Demonstration, Pool, Ranking, Split
from tests.training.world import Lab
from tests.world import PASSWORD
from training import registry
from training.dataset_rows import rows_from
from training.datasets import freeze
from training.models import Dataset, Policy, RewardModel, Stage, TrainingRun
from training.tracing import trace


@given(
    st.lists(st.tuples(st.integers(1, 60), st.text('aé {\n"', max_size=30)), unique_by=lambda row: row[0]).map(sorted),
    st.integers(0, 62),
)
def test_rows_are_found_by_their_record_however_long_they_are(rows: list[tuple[int, str]], number: int) -> None:
    written = [{"id": record, "prompt": text} for record, text in rows]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written))
        assert list(rows_from(path, number)) == [row for row in written if int(str(row["id"])) >= number]


@pytest.fixture
def dataset(lab: Lab) -> Dataset:
    return freeze(lab.project, user=lab.rosa)


@pytest.fixture
def models(lab: Lab, dataset: Dataset) -> dict[str, Any]:
    """What a round makes: SFT from the answers, a reward model from the rankings, PPO with both."""

    def run(stage: Stage, **of: Any) -> TrainingRun:
        return TrainingRun.objects.create(project=lab.project, stage=stage, state="succeeded", dataset=dataset, **of)

    def policy(name: str, made_by: TrainingRun) -> Policy:
        made = registry.register_policy(lab.project, name=name, source="x/y", parent=made_by.base)
        Policy.objects.filter(pk=made.pk).update(run=made_by)
        return made

    sft = policy("sft", run(Stage.SFT, base=lab.base))
    judge = RewardModel.objects.create(
        project=lab.project, name="judge", parent=sft, path="x", run=run(Stage.REWARD_MODEL, base=sft)
    )
    ppo = policy("ppo", run(Stage.PPO, base=sft, reference=sft, judge=judge))
    return {"sft": sft, "judge": judge, "ppo": ppo}


def first_row(dataset: Dataset, name: str) -> dict[str, Any]:
    return next(rows_from(dataset.folder / name, 0))


def test_a_ranking_leads_to_the_reward_model_and_on_to_the_policy_it_judged(
    lab: Lab, dataset: Dataset, models: dict[str, Any]
) -> None:
    found = trace(lab.project, "rankings", first_row(dataset, "rankings.jsonl")["id"])
    assert [(place.dataset, place.files) for place in found.places] == [(dataset, ["rankings.jsonl"])]
    assert found.learnt == [models["judge"]]
    assert found.descended == [models["ppo"]]


def test_an_answer_leads_to_what_learnt_from_it_and_to_all_that_began_there(
    lab: Lab, dataset: Dataset, models: dict[str, Any]
) -> None:
    found = trace(lab.project, "demonstrations", first_row(dataset, "demonstrations.jsonl")["id"])
    assert found.learnt == [models["sft"]]
    assert found.descended == [models["judge"], models["ppo"]]


def test_what_is_held_out_or_came_later_taught_nobody(lab: Lab, dataset: Dataset, models: dict[str, Any]) -> None:
    held_out = trace(lab.project, "rankings", first_row(dataset, "rankings_held_out.jsonl")["id"])
    assert [place.files for place in held_out.places] == [["rankings_held_out.jsonl"]]
    late = lab.rank(lab.prompts(Split.TRAIN, Pool.REWARD)[0], [["yes"], ["no"]])
    later = trace(lab.project, "rankings", late.pk)
    assert later.places == []
    assert (held_out.learnt, held_out.descended) == (later.learnt, later.descended) == ([], [])


def test_researchers_walk_from_a_run_to_its_rows_and_from_a_row_to_the_models(
    lab: Lab, dataset: Dataset, models: dict[str, Any]
) -> None:
    client = Client()
    client.login(username="rosa", password=PASSWORD)
    run = client.get(f"/runs/{models['judge'].run.pk}/").content.decode()
    rows = f"/datasets/{dataset.pk}/rows/rankings.jsonl/"
    assert rows in run
    first = first_row(dataset, "rankings.jsonl")
    page = client.get(rows).content.decode()
    assert first["completions"][0]["text"] in page
    record = f"/projects/{lab.project.slug}/lineage/rankings/{first['id']}/"
    assert record in page
    page = client.get(record).content.decode()
    assert f"/reward-models/{models['judge'].pk}/" in page
    assert f"/policies/{models['ppo'].pk}/" in page
    told = client.get(f"/api/v1{record}").json()
    assert told == {
        "places": [{"dataset": dataset.pk, "files": ["rankings.jsonl"]}],
        "learnt": [{"id": models["judge"].pk, "kind": "reward_model", "name": "judge"}],
        "descended": [{"id": models["ppo"].pk, "kind": "policy", "name": "ppo"}],
    }


def test_pages_of_rows_hold_each_once_and_a_last_page_ends(lab: Lab) -> None:
    for prompt in lab.prompts(Split.TRAIN):
        lab.demonstrate(prompt, f"{prompt.text}: done")
    dataset = freeze(lab.project, user=lab.rosa)
    client = Client()
    client.login(username="rosa", password=PASSWORD)
    seen: list[int] = []
    query: str | None = ""
    while query is not None:
        context = client.get(f"/datasets/{dataset.pk}/rows/demonstrations.jsonl/{query}").context
        seen += [row["id"] for row in context["rows"]]
        query = f"?from={context['following']}" if context["following"] else None
    assert seen == [row["id"] for row in rows_from(dataset.folder / "demonstrations.jsonl", 0)]
    assert len(seen) > 40
    assert Demonstration.objects.filter(pk__in=seen).count() == len(seen)


def test_what_is_no_file_no_kind_and_no_record_of_the_project_is_not_found(lab: Lab, dataset: Dataset) -> None:
    client = Client()
    client.login(username="rosa", password=PASSWORD)
    ranking = Ranking.objects.earliest("pk").pk
    for path in (
        f"/datasets/{dataset.pk}/rows/README.md/",
        f"/projects/{lab.project.slug}/lineage/people/{ranking}/",
        f"/projects/{lab.project.slug}/lineage/rankings/{10**12}/",
        f"/api/v1/projects/{lab.project.slug}/lineage/people/{ranking}/",
    ):
        assert client.get(path).status_code == 404, path
