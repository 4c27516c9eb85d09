"""A dataset's folder as others open it: `datasets.load_dataset` by kind, and TRL's trainers without a conversion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from annotation.models import Completion, Demonstration, Guidelines, Pool, Ranking, Split
from tests.training.world import Lab, tiny_model
from training import parquet
from training.datasets import freeze
from training.models import Dataset

KINDS = [kind.name for kind in parquet.KINDS]
MESSAGES = {"role": "string", "content": "string"}


@pytest.fixture(autouse=True)
def _no_datasets_left() -> Iterator[None]:
    yield
    shutil.rmtree(Path(settings.DATA) / "datasets", ignore_errors=True)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`datasets.load_dataset` without a hub, keeping what it converts in a folder of the test's."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    return lambda dataset, kind: datasets.load_dataset(str(dataset.folder), kind, cache_dir=str(tmp_path))


def rows(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dataset.folder / f"{name}.jsonl").read_text().splitlines()]


def said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def type_of(feature: Any) -> Any:
    """A column's type in plain words: names of types, dicts for structs, [type] for lists."""
    if isinstance(feature, dict):
        return {name: type_of(each) for name, each in feature.items()}
    return [type_of(feature.feature)] if hasattr(feature, "feature") else feature.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_opens_by_its_name_with_all_of_its_rows(lab: Lab, loaded: Any, kind: str) -> None:
    dataset = freeze(lab.project, user=None)
    found = loaded(dataset, kind)
    assert found.keys() == {"train", "held_out"}
    assert {split: each.num_rows for split, each in found.items()} == {
        split: dataset.files[file]["rows"]
        for split, file in next(each for each in parquet.KINDS if each.name == kind).files()
    }


def test_columns_have_the_types_that_trl_names_conversational(lab: Lab, loaded: Any) -> None:
    dataset = freeze(lab.project, user=None)
    expected = {
        "demonstrations": ("prompt", "completion"),
        "messages": ("messages",),
        "comparisons": ("prompt", "chosen", "rejected"),
        "prompts": ("prompt",),
    }
    for kind, columns in expected.items():
        features = loaded(dataset, kind)["train"].features
        assert {name: type_of(features[name]) for name in columns} == dict.fromkeys(columns, [MESSAGES])
    ranked = type_of(loaded(dataset, "rankings")["train"].features["completions"])
    assert ranked == [{"text": "string", "rank": "int64", "rating": "int64", "model": "string"}]


def test_answers_are_there_as_prompt_and_completion_and_as_one_conversation(lab: Lab, loaded: Any) -> None:
    dataset = freeze(lab.project, user=None)
    answered = rows(dataset, "demonstrations")
    expected = [(said("user", row["prompt"]), said("assistant", row["completion"])) for row in answered]
    pairs = loaded(dataset, "demonstrations")["train"]
    assert [(row["prompt"], row["completion"]) for row in pairs] == expected
    conversations = loaded(dataset, "messages")["train"]["messages"]
    assert list(conversations) == [prompt + answer for prompt, answer in expected]


def test_a_ranking_gives_its_untied_pairs_and_each_output_a_score(lab: Lab, loaded: Any) -> None:
    prompt = lab.prompts(Split.TRAIN, Pool.REWARD)[-1]
    ranking = lab.rank(prompt, [["best"], ["one", "other"], ["worst"]])
    dataset = freeze(lab.project, user=None)
    pairs = [row for row in loaded(dataset, "comparisons")["train"] if row["id"] == ranking.pk]
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in pairs} == {
        ("best", "one"), ("best", "other"), ("best", "worst"), ("one", "worst"), ("other", "worst"),
    }  # fmt: skip
    assert all(row["chosen_rank"] < row["rejected_rank"] for row in pairs)
    assert all(row["prompt"] == said("user", prompt.text) for row in pairs)
    scores = {
        row["completion"][0]["content"]: row["score"]
        for row in loaded(dataset, "completions")["train"]
        if row["id"] == ranking.pk
    }
    assert scores == {"best": 1.0, "one": 0.5, "other": 0.5, "worst": 0.0}


def test_a_kind_without_rows_is_not_offered(lab: Lab, loaded: Any) -> None:
    Ranking.objects.filter(prompt__split=Split.TEST).delete()
    Demonstration.objects.all().delete()
    dataset = freeze(lab.project, user=None, needed={})
    assert loaded(dataset, "comparisons").keys() == {"train"}
    card = (dataset.folder / "README.md").read_text()
    kinds = [each["config_name"] for each in yaml.safe_load(card.split("---\n")[1])["configs"]]
    assert kinds == ["instructions", "rankings", "comparisons", "completions", "prompts"]


def test_the_card_says_what_was_left_out_under_which_rules_and_leaves_the_licence_to_the_admin(lab: Lab) -> None:
    guidelines = Guidelines.objects.get(project=lab.project)
    Demonstration.objects.update(guidelines=guidelines)
    lab.rank(lab.prompts(Split.TRAIN, Pool.REWARD)[-1], [["a", "b"]])
    dataset = freeze(lab.project, user=None, filters={"languages": ["en"]})
    card = (dataset.folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["language"]) == ("unknown", ["en"])
    assert "| rankings | all outputs tied | 1 |" in card
    assert "- demonstrations by version of the guidelines: 1: 16" in card
    assert f"- code version: `{dataset.code_version}`" in card
    assert all(about["sha256"] in card for about in dataset.files.values())


def test_people_have_one_pseudonym_and_names_that_came_in_files_are_hidden(lab: Lab) -> None:
    first, second = Ranking.objects.filter(prompt__split=Split.TRAIN)[:2]
    Ranking.objects.filter(pk__in=[first.pk, second.pk]).update(annotator=None, origin={"annotator": "Ann Example"})
    dataset = freeze(lab.project, user=None)
    by = {row["id"]: row["annotator"] for row in rows(dataset, "rankings")}
    others = {name for pk, name in by.items() if pk not in (first.pk, second.pk)}
    assert by[first.pk] == by[second.pk]
    assert others == {row["author"] for row in rows(dataset, "demonstrations")}  # Alice did all of these
    assert len(others) == 1
    assert by[first.pk] not in others
    files = b"".join(path.read_bytes() for path in dataset.folder.glob("*.jsonl"))
    assert b"Ann" not in files
    assert b"alice" not in files


def test_rows_name_the_model_that_wrote_each_output(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    assert {each["model"] for row in rows(dataset, "rankings") for each in row["completions"]} == {"other"}
    assert Completion.objects.filter(generator=lab.other).exists()


def test_equal_rows_give_equal_files(lab: Lab) -> None:
    one, two = freeze(lab.project, user=None), freeze(lab.project, user=None)
    assert one.files == two.files


@pytest.mark.long
def test_trl_trains_on_them_as_they_are(lab: Lab, tmp_path: Path) -> None:
    dataset = freeze(lab.project, user=None)
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    program = [sys.executable, str(Path(__file__).with_name("with_trl.py"))]
    done = subprocess.run(
        [*program, str(dataset.folder), str(tiny_model()), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    losses = json.loads(done.stdout.splitlines()[-1])
    assert losses.keys() == {"demonstrations", "messages", "reward", "dpo"}
    assert all(loss > 0 for loss in losses.values())
